#!/usr/bin/env perl
# Every callback of both TCP components, told as it comes: an exchange, a shutdown that must flush, a reconnection, an
# end of the input.
use strict;
use warnings;
use Socket qw(sockaddr_in);
use POE qw(Component::Server::TCP Component::Client::TCP);

$| = 1;
my ($port, $connections) = (0, 0);

sub say_it { print "@_\n" }

POE::Component::Server::TCP->new(
  Address => '127.0.0.1',
  Port    => 0,
  Alias   => 'server',
  Started => sub {
    $port = (sockaddr_in($_[HEAP]{listener}->getsockname))[0];
    say_it('server: started');
  },
  Stopped         => sub { say_it('server: stopped') },
  ClientConnected => sub { say_it('server: connected') },
  ClientInput     => sub {
    my ($kernel, $heap, $line) = @_[KERNEL, HEAP, ARG0];
    say_it("server: input $line");
    $heap->{client}->put("echo $line");
    if ($line eq 'bye') {
      $kernel->yield('shutdown');
      $kernel->yield('shutdown');
    }
  },
  ClientFlushed      => sub { say_it('server: flushed') },
  ClientError        => sub { say_it("server: $_[ARG0] " . ($_[ARG1] + 0)) },
  ClientDisconnected => sub { say_it('server: disconnected') },
);

POE::Component::Client::TCP->new(
  RemoteAddress => '127.0.0.1',
  RemotePort    => $port,
  Started       => sub { say_it('client: started') },
  Connected     => sub {
    $connections++;
    say_it('client: connected');
    $_[HEAP]{server}->put('hello');
  },
  ServerInput => sub {
    my ($kernel, $heap, $line) = @_[KERNEL, HEAP, ARG0];
    say_it("client: input $line");
    if ($line eq 'echo hello') {
      if ($connections == 1) { $heap->{server}->put('bye') }
      else                   { $kernel->yield('shutdown') }
    }
  },
  ServerFlushed => sub { say_it('client: flushed') },
  ServerError   => sub { say_it("client: $_[ARG0] " . ($_[ARG1] + 0)) },
  Disconnected  => sub {
    say_it('client: disconnected');
    if ($connections == 1) { $_[KERNEL]->yield('reconnect') }
    else                   { $_[KERNEL]->post(server => 'shutdown') }
  },
);

POE::Kernel->run;
