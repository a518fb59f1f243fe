use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub { $_[HEAP]{count} = 0; $_[KERNEL]->yield('next') },
    next   => sub {
      my ($kernel, $heap, $session) = @_[KERNEL, HEAP, SESSION];
      print "session ", $session->ID, " counts ", ++$heap->{count}, "\n";
      $kernel->yield('next') if $heap->{count} < 2;
    },
    _stop => sub { print "session ", $_[SESSION]->ID, " stops\n" },
  },
) for 1 .. 2;
POE::Kernel->run();
