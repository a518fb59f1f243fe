use strict; use warnings;
use POE qw(Component::IKC::Server Component::IKC::Client);

pipe(my $read, my $write) or die $!;
my $server = fork // die $!;
if (!$server) {
  POE::Kernel->has_forked;
  my $port = POE::Component::IKC::Server->spawn(ip => '127.0.0.1', port => 0, name => 'Pulse');
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->alias_set('greeter');
        $_[KERNEL]->post(IKC => publish => 'greeter', [qw(greet stop)]);
      },
      greet => sub { $_[KERNEL]->post($_[SENDER], 'greeting', "hello $_[ARG0]"); return },
      stop  => sub { $_[KERNEL]->alias_remove('greeter'); $_[KERNEL]->post(IKC => 'shutdown'); return },
    },
  );
  syswrite $write, "$port\n";
  POE::Kernel->run();
  exit;
}
chomp(my $port = <$read>);

POE::Session->create(
  inline_states => {
    _start => sub {
      $_[KERNEL]->alias_set('me');
      POE::Component::IKC::Client->spawn(
        ip => '127.0.0.1', port => $port, name => 'Asker',
        on_connect => sub { POE::Kernel->post(me => 'connected') },
      );
      $_[KERNEL]->post(IKC => publish => 'me', ['greeting']);
      $_[KERNEL]->post(IKC => monitor => 'Pulse', { register => 'there', unregister => 'gone' });
    },
    there     => sub { print "$_[ARG1] is there\n" },
    connected => sub { $_[KERNEL]->post(IKC => subscribe => ['poe://Pulse/greeter'], 'subscribed') },
    # The proxy is a session, and its alias is the address.
    subscribed => sub { $_[KERNEL]->post('poe://Pulse/greeter', 'greet', 'you') },
    greeting   => sub { print "$_[ARG0]\n"; $_[KERNEL]->post('poe://Pulse/greeter', 'stop') },
    gone       => sub { print "$_[ARG1] is gone\n"; $_[KERNEL]->alias_remove('me'); $_[KERNEL]->post(IKC => 'shutdown') },
  },
);
POE::Kernel->run();
waitpid $server, 0;
