# A real peer for filter::Reference: a POE program that exchanges Storable frames by TCP. Arguments: what it is, a port,
# and whether frames are compressed.
#   client PORT 0|1   sends three hashes one after another and prints the answers
#   server 0 0|1      prints its port, answers each object with its list doubled, and ends with its first client
use strict;
use warnings;
use POE qw(Component::Client::TCP Component::Server::TCP Filter::Reference);
use Scalar::Util qw(blessed refaddr);

$| = 1;
my ($mode, $port, $compression) = @ARGV;
my @filter = ("POE::Filter::Reference", Serializer => "Storable", Compression => $compression);
my $text = "caf\x{e9} \x{263a}";

if ($mode eq "client") {
  my $number = 0;
  my $ask = sub {
    my $list = [ 1, 2, 3 ];
    $_[0]->put({ number => ++$number, text => $text, list => $list, again => $list });
  };
  POE::Component::Client::TCP->new(
    RemoteAddress => "127.0.0.1",
    RemotePort    => $port,
    Filter        => \@filter,
    Connected     => sub { $ask->($_[HEAP]{server}) },
    ServerInput   => sub {
      my ($echo, $hash) = @{ $_[ARG0] };
      (my $shown = $hash->{text}) =~ s/([^a-z ])/sprintf "%%%x", ord $1/ge;
      print blessed($_[ARG0]), ": $echo number $hash->{number}, text $shown, list @{ $hash->{list} }, ",
        refaddr($hash->{list}) == refaddr($hash->{again}) ? "shared\n" : "copied\n";
      $number < 3 ? $ask->($_[HEAP]{server}) : $_[KERNEL]->yield("shutdown");
    },
    ConnectError => sub { die "cannot connect: $_[ARG2]\n" },
    Disconnected => sub { print "disconnected\n" },
  );
}
else {
  POE::Component::Server::TCP->new(
    Alias        => "server",
    Address      => "127.0.0.1",
    Port         => 0,
    ClientFilter => \@filter,
    Started      => sub { print +(Socket::sockaddr_in($_[HEAP]{listener}->getsockname()))[0], "\n" },
    ClientInput  => sub {
      my $object = $_[ARG0];
      die "not a question\n" unless blessed($object) eq "Question" && $object->{text} eq $text;
      $_ *= 2 for @{ $object->{list} };
      $_[HEAP]{client}->put(bless $object, "Answer");
    },
    ClientDisconnected => sub { $_[KERNEL]->post(server => "shutdown") },
  );
}
POE::Kernel->run();
