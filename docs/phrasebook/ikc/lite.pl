use strict; use warnings;
use POE qw(Component::IKC::Server);
use POE::Component::IKC::ClientLite;

pipe(my $read, my $write) or die $!;
my $server = fork // die $!;
if (!$server) {
  POE::Kernel->has_forked;
  my $port = POE::Component::IKC::Server->spawn(ip => '127.0.0.1', port => 0, name => 'Pulse');
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->alias_set('calc');
        $_[KERNEL]->post(IKC => publish => 'calc', [qw(note add stop)]);
      },
      note => sub { $_[HEAP]{notes}++; return },
      add  => sub { my ($a, $b) = @{$_[ARG0]}; return $a + $b },
      stop => sub { $_[KERNEL]->alias_remove('calc'); $_[KERNEL]->post(IKC => 'shutdown'); return $_[HEAP]{notes} },
    },
  );
  syswrite $write, "$port\n";
  POE::Kernel->run();
  exit;
}
chomp(my $port = <$read>);

my $lite = POE::Component::IKC::ClientLite->spawn(ip => '127.0.0.1', port => $port, name => 'Script', timeout => 10)
  or die POE::Component::IKC::ClientLite::error();
$lite->post('calc/note', 'hello') or die $lite->error;
print "the sum is ", $lite->call('calc/add', [20, 22]), "\n";
print "refused\n" unless $lite->call('calc/secret', 1);
print "notes: ", $lite->call('calc/stop', undef), "\n";
$lite->disconnect;
waitpid $server, 0;
