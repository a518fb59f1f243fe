use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub {
      my ($kernel, $heap) = @_[KERNEL, HEAP];
      $kernel->delay(timeout => 0.01);
      $kernel->delay(timeout => 0.05);                  # in its place
      $kernel->delay_add(tick => 0.02, 'first');
      $heap->{id} = $kernel->delay_set(tick => 10, 'second');
      $kernel->delay_adjust($heap->{id}, 0.03);
      $kernel->alarm_set(tick => time() + 3600, 'never');
    },
    tick    => sub { print "tick: $_[ARG0]\n" },
    timeout => sub {
      print "timeout\n";
      for my $left ($_[KERNEL]->alarm_remove_all()) {
        print "removed: $left->[0] $left->[2]\n";
      }
    },
  },
);
POE::Kernel->run();
