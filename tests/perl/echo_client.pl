# A real peer for the echo server: a POE::Component::Client::TCP that sends three lines one after another, prints what
# comes back, and ends. Argument: the port.
use strict;
use warnings;
use POE qw(Component::Client::TCP);

$| = 1;
my @lines = ("one", "two words", "the third line");

POE::Component::Client::TCP->new(
  RemoteAddress => "127.0.0.1",
  RemotePort    => shift,
  Filter        => [ "POE::Filter::Line", Literal => "\n" ],
  Connected     => sub { $_[HEAP]{server}->put(shift @lines) },
  ServerInput   => sub {
    print "got $_[ARG0]\n";
    @lines ? $_[HEAP]{server}->put(shift @lines) : $_[KERNEL]->yield("shutdown");
  },
  ConnectError => sub { die "cannot connect: $_[ARG2]\n" },
  Disconnected => sub { print "disconnected\n" },
);
POE::Kernel->run();
