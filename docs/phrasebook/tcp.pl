use strict; use warnings;
use Socket;
use POE qw(Component::Server::TCP Component::Client::TCP);

my $port;
POE::Component::Server::TCP->new(
  Alias       => 'server',
  Address     => '127.0.0.1',
  Port        => 0,
  Started     => sub { ($port) = unpack_sockaddr_in($_[HEAP]{listener}->getsockname()) },
  ClientConnected    => sub { $_[HEAP]{client}->put("hello") },
  ClientInput        => sub {
    print "server: $_[ARG0]\n";
    $_[HEAP]{client}->put(uc $_[ARG0]);
    $_[KERNEL]->yield('shutdown');
  },
  ClientDisconnected => sub {
    $_[KERNEL]->post(server => 'shutdown');
  },
);
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->yield('connect') },
    connect => sub {
      POE::Component::Client::TCP->new(
        RemoteAddress => '127.0.0.1',
        RemotePort    => $port,
        ServerInput   => sub {
          print "client: $_[ARG0]\n";
          $_[HEAP]{server}->put("is anybody there?") if $_[ARG0] eq "hello";
          $_[KERNEL]->yield('shutdown') unless $_[ARG0] eq "hello";
        },
      );
    },
  },
);
POE::Kernel->run();
