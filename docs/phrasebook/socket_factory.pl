use strict; use warnings;
use Socket;
use POE qw(Wheel::SocketFactory);

POE::Session->create(
  inline_states => {
    _start => sub {
      my $heap = $_[HEAP];
      $heap->{server} = POE::Wheel::SocketFactory->new(
        BindAddress  => '127.0.0.1',
        BindPort     => 0,
        Reuse        => 1,
        SuccessEvent => 'accepted',
        FailureEvent => 'failed',
      );
      my ($port) = unpack_sockaddr_in($heap->{server}->getsockname());
      $heap->{client} = POE::Wheel::SocketFactory->new(
        RemoteAddress => '127.0.0.1',
        RemotePort    => $port,
        SuccessEvent  => 'connected',
        FailureEvent  => 'failed',
      );
    },
    accepted => sub {
      print "accepted from ", inet_ntoa($_[ARG1]), "\n";
      delete $_[HEAP]{server};
    },
    connected => sub { $_[HEAP]{connected} = 1; delete $_[HEAP]{client} },
    failed    => sub { print "$_[ARG0] failed: $_[ARG2]\n" },
    _stop     => sub { print "connected\n" if $_[HEAP]{connected} },
  },
);
POE::Kernel->run();
