use strict; use warnings;
use POE qw(Component::IKC::Server Component::IKC::Client);

# The server, in a process of its own.
pipe(my $read, my $write) or die $!;
my $server = fork // die $!;
if (!$server) {
  POE::Kernel->has_forked;
  my $port = POE::Component::IKC::Server->spawn(ip => '127.0.0.1', port => 0, name => 'Pulse');
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->alias_set('calc');
        $_[KERNEL]->post(IKC => publish => 'calc', [qw(note add notes stop)]);
      },
      note  => sub { push @{$_[HEAP]{notes}}, $_[ARG0]; return },
      add   => sub { my ($a, $b) = @{$_[ARG0]}; return $a + $b },
      notes => sub { return join ', ', @{$_[HEAP]{notes}} },
      stop  => sub { $_[KERNEL]->alias_remove('calc'); $_[KERNEL]->post(IKC => 'shutdown'); return },
    },
  );
  syswrite $write, "$port\n";
  POE::Kernel->run();
  exit;
}
chomp(my $port = <$read>);

# The client.
POE::Component::IKC::Client->spawn(ip => '127.0.0.1', port => $port, name => 'Asker', on_connect => \&build);
sub build {
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->alias_set('asker');
        $_[KERNEL]->post(IKC => post => 'poe://Pulse/calc/note', 'hello');
        $_[KERNEL]->post(IKC => call => 'poe://Pulse/calc/add', [20, 22], 'poe:/asker/sum');
        $_[KERNEL]->post(IKC => call => 'poe://Pulse/calc/notes', undef, 'poe:/asker/notes');
      },
      sum   => sub { print "the sum is $_[ARG0]\n" },
      notes => sub {
        print "the server has noted: $_[ARG0]\n";
        $_[KERNEL]->post(IKC => post => 'poe://Pulse/calc/stop');
        $_[KERNEL]->post(IKC => 'shutdown');
        $_[KERNEL]->alias_remove('asker');
      },
    },
  );
}
POE::Kernel->run();
waitpid $server, 0;
