# Timers by name: which calls replace, which add, which clear, and what they leave alone.
# Laws: 1.3 (alarm, alarm_add, delay, delay_add; results 0 or the error itself), L1.
# A line that begins with [type] shows what a typed language cannot express.
use strict;
use warnings;
use POE;
use POSIX qw(EINVAL);
use Time::HiRes qw(time);

$| = 1;
sub out { print @_, "\n" }
sub code { my $c = shift; defined $c ? $c == EINVAL ? 'EINVAL' : $c : 'undef' }

sub scenario {
  my ($title, $start, %more) = @_;
  out "== $title";
  POE::Session->create(
    inline_states => {
      _start => $start,
      _stop  => sub { },
      ring   => sub { out "ring $_[ARG0]" },
      other  => sub { out "other $_[ARG0]" },
      %more,
    },
  );
  POE::Kernel->run;
}

scenario 'alarm replaces alarm', sub {
  my $k = $_[KERNEL];
  out "alarm: ", code($k->alarm(ring => time() + 0.02, 1));
  out "alarm: ", code($k->alarm(ring => time() + 0.02, 2));
};

scenario 'alarm_add adds', sub {
  my $k = $_[KERNEL];
  my $at = time() + 0.02;
  out "alarm_add: ", code($k->alarm_add(ring => $at, 1));
  out "alarm_add: ", code($k->alarm_add(ring => $at, 2));
};

scenario 'alarm, alarm_add, alarm, alarm_add: the last two', sub {
  my $k = $_[KERNEL];
  my $at = time() + 0.02;
  $k->alarm(ring => $at, 1);
  $k->alarm_add(ring => $at, 2);
  $k->alarm(ring => $at, 3);
  $k->alarm_add(ring => $at, 4);
};

scenario 'delay replaces delay', sub {
  my $k = $_[KERNEL];
  out "delay: ", code($k->delay(ring => 0.02, 1));
  out "delay: ", code($k->delay(ring => 0.02, 2));
};

scenario 'delay_add adds', sub {
  my $k = $_[KERNEL];
  out "delay_add: ", code($k->delay_add(ring => 0.02, 1));
  out "delay_add: ", code($k->delay_add(ring => 0.04, 2));
};

scenario 'delay, delay_add, delay, delay_add: the last two', sub {
  my $k = $_[KERNEL];
  $k->delay(ring => 0.02, 1);
  $k->delay_add(ring => 0.02, 2);
  $k->delay(ring => 0.02, 3);
  $k->delay_add(ring => 0.04, 4);
};

scenario 'alarm without a time only clears', sub {
  my $k = $_[KERNEL];
  $k->alarm(ring => time() + 0.02, 1);
  out "alarm: ", code($k->alarm('ring'));
  $k->delay(other => 0.03, 'is left alone');
};

scenario 'delay without seconds only clears', sub {
  my $k = $_[KERNEL];
  $k->delay(ring => 0.02, 1);
  out "delay: ", code($k->delay('ring'));
  $k->delay(other => 0.03, 'is left alone');
};

scenario 'clearing does not ask who set it', sub {
  my $k = $_[KERNEL];
  $k->alarm_add(ring => time() + 0.02, 'alarm_add');
  $k->delay_add(ring => 0.02, 'delay_add');
  $k->alarm_set(ring => time() + 0.02, 'alarm_set');
  $k->delay_set(ring => 0.02, 'delay_set');
  $k->delay(ring => 0.03, 'delay, alone');
};

scenario 'by-ID setters never clear', sub {
  my $k = $_[KERNEL];
  $k->alarm(ring => time() + 0.02, 'alarm');
  $k->delay_set(ring => 0.04, 'delay_set');
  $k->delay_set(ring => 0.06, 'delay_set again');
};

scenario 'posted events of that name are not touched', sub {
  my $k = $_[KERNEL];
  $k->yield(ring => 'yield');
  $k->post($_[SESSION], ring => 'post');
  $k->delay(ring => 0.02, 'timer');
  $k->alarm('ring');
  $k->delay('ring');
};

scenario 'timers of other sessions are not touched', sub {
  my $k = $_[KERNEL];
  POE::Session->create(
    inline_states => {
      _start => sub { $_[KERNEL]->delay(ring => 0.02) },
      ring   => sub { out "ring in the other session" },
      _stop  => sub { },
    },
  );
  $k->delay(ring => 0.02, 'mine');
  $k->alarm('ring');
};

scenario 'epoch 0 is a time', sub {
  my $k = $_[KERNEL];
  $k->yield(other => 'post');
  out "alarm: ", code($k->alarm(ring => 0, 'epoch 0'));
};

scenario 'a timer may be set again from its own handler', sub {
  $_[KERNEL]->delay(tick => 0.02, 1);
}, tick => sub {
  out "tick $_[ARG0]";
  $_[KERNEL]->delay(tick => 0.02, $_[ARG0] + 1) if $_[ARG0] < 3;
};

scenario 'arguments that are not there', sub {
  my $k = $_[KERNEL];
  out "[type] alarm(undef): ",          code($k->alarm(undef));
  out "[type] alarm_add(undef, 1): ",   code($k->alarm_add(undef, 1));
  out "[type] alarm_add(ring, undef): ", code($k->alarm_add('ring', undef));
  out "[type] delay(undef): ",          code($k->delay(undef));
  out "[type] delay_add(ring, undef): ", code($k->delay_add('ring', undef));
};
