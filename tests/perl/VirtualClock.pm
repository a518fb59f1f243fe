# A clock that stands while a script works, and jumps to the next timer when nothing is due:
#
#   perl -Itests/perl -MVirtualClock tests/perl/detach.pl
#
# So a busy machine makes no timer late, and timers come one by one however close they lie. Each look at the clock is a microsecond
# later than the last one. Handles are looked at without a wait when a timer is set: scripts that wait for another process play
# on the real clock (`twins_of_processes` in tests/it/perl_twins.rs).
package VirtualClock;
use strict;
use warnings;

my ($now, $ticks);

BEGIN {
  require Time::HiRes;
  ($now, $ticks) = (time, 0);
  no warnings 'redefine';
  *Time::HiRes::time = sub () { $now + ++$ticks / 1_000_000 };
  *Time::HiRes::sleep = sub (;@) { $now += shift };
  # Time since the system was started would be another clock.
  $ENV{POE_USE_POSIXRT} = 0;
}

sub jump {
  my $kernel = shift;
  my $due = $kernel->get_next_event_time;
  return unless defined $due;
  my $ahead = $due - Time::HiRes::time();
  $now += $ahead if $ahead > 0;
}

# The script has loaded POE by now.
INIT {
  no warnings 'redefine';
  no strict 'refs';
  my $slice = POE::Kernel->can('loop_do_timeslice') or die 'the script uses no POE';
  *POE::Kernel::loop_do_timeslice = sub {
    jump($_[0]);
    goto &$slice;
  };
}

1;
