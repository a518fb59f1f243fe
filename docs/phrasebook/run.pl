use strict; use warnings;
use POE qw(Wheel::Run Filter::Line);

# The program has ended and its output is closed: the two events come in either order.
sub over {
  my ($heap) = @_;
  return unless $heap->{closed} && defined $heap->{status};
  print "exit ", $heap->{status} >> 8, "\n";
  delete $heap->{wheel};
}

POE::Session->create(
  inline_states => {
    _start => sub {
      my ($kernel, $heap) = @_[KERNEL, HEAP];
      my $wheel = POE::Wheel::Run->new(
        Program     => 'read name; echo "hello $name"; echo oh >&2; exit 3',
        StdoutEvent => 'output',
        StderrEvent => 'complaint',
        CloseEvent  => 'closed',
      );
      $kernel->sig_child($wheel->PID, 'ended');
      $wheel->put('world');
      $heap->{wheel} = $wheel;
    },
    output    => sub { push @{ $_[HEAP]{lines} }, "output: $_[ARG0]" },
    complaint => sub { push @{ $_[HEAP]{lines} }, "complaint: $_[ARG0]" },
    closed    => sub { $_[HEAP]{closed} = 1; over($_[HEAP]) },
    ended     => sub { $_[HEAP]{status} = $_[ARG2]; over($_[HEAP]) },
    _stop     => sub { print "$_\n" for sort @{ $_[HEAP]{lines} } },
  },
);
POE::Kernel->run();
