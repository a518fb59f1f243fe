# Order of timers among themselves and against posted events.
# Laws: L1 (due time, then order of insertion), L2 (posts are strictly in order),
# L3 (overdue timers jump ahead, delay 0 sits where it was set, an adjustment by 0
# keeps the place, any other move lands behind equals), L4 (timer against post).
# Epochs such as 100 are in the past on purpose: they are due at once and exact.
use strict;
use warnings;
use POE;
use Time::HiRes qw(time sleep);

$| = 1;
sub out { print @_, "\n" }

# Runs one session whose `_start` is the given code; every other event prints its name.
sub scenario {
  my ($title, $start, %more) = @_;
  out "== $title";
  POE::Session->create(
    inline_states => {
      _start   => $start,
      _stop    => sub { },
      _default => sub { out $_[ARG0] },
      %more,
    },
  );
  POE::Kernel->run;
}

scenario 'delay 0 sits where it was set', sub {
  my $k = $_[KERNEL];
  $k->yield('a');
  $k->delay(d => 0);
  $k->yield('b');
};

scenario 'overdue timers go before waiting posts, by due time', sub {
  my $k = $_[KERNEL];
  $k->yield('post 1');
  $k->yield('post 2');
  $k->delay('one second ago'  => -1);
  $k->delay('five seconds ago' => -5);
  $k->alarm('epoch 2' => 2);
  $k->alarm('epoch 1' => 1);
  $k->alarm('epoch 0' => 0);
  $k->alarm_set('epoch -3' => -3);
  $k->yield('post 3');
};

scenario 'timer of 20 ms, busy for 50 ms, then a yield', sub {
  my $k = $_[KERNEL];
  $k->delay(timer => 0.02);
  sleep 0.05;
  $k->yield('post');
};

scenario 'timer of 20 ms, a yield, then busy for 50 ms', sub {
  my $k = $_[KERNEL];
  $k->delay(timer => 0.02);
  $k->yield('post');
  sleep 0.05;
};

scenario 'timers set in any order fire by due time', sub {
  my $k = $_[KERNEL];
  $k->delay(t80 => 0.08);
  $k->delay(t20 => 0.02);
  $k->delay(t60 => 0.06);
  $k->delay(t40 => 0.04);
};

# The checksum is the sum of position * number: it tells every order apart from sorted.
{
  my ($position, $sum, $sorted, $last) = (0, 0, 'yes', -1);
  my $seen = sub {
    my $n = $_[ARG0];
    $sum += ++$position * $n;
    $sorted = 'no' if $n <= $last;
    $last = $n;
  };
  scenario '500 timers with one due time', sub {
    my $at = time() + 0.03;
    $_[KERNEL]->alarm_set(seen => $at, $_) for 0 .. 499;
  }, seen => $seen;
  out "$position timers, in order: $sorted, checksum $sum";

  ($position, $sum, $sorted, $last) = (0, 0, 'yes', -1);
  scenario '2000 yields', sub {
    $_[KERNEL]->yield(seen => $_) for 0 .. 1999;
  }, seen => $seen;
  out "$position posts, in order: $sorted, checksum $sum";
}

scenario 'an adjustment by 0 keeps the place among equals', sub {
  my $k  = $_[KERNEL];
  my %id = map { $_ => $k->alarm_set($_ => 100) } qw(x y z);
  out "x is due at ", $k->alarm_adjust($id{x}, 0);
};

scenario 'away and back lands behind equals', sub {
  my $k  = $_[KERNEL];
  my %id = map { $_ => $k->alarm_set($_ => 100) } qw(x y z);
  out "x is due at ", $k->alarm_adjust($id{x}, 50);
  out "x is due at ", $k->alarm_adjust($id{x}, -50);
};

scenario 'two that meet: who came first stays first', sub {
  my $k  = $_[KERNEL];
  my %id;
  $id{$_->[0]} = $k->alarm_set(@$_)
    for [ a => 10 ], [ b => 20 ], [ c => 30 ], [ d => 40 ], [ e => 50 ], [ f => 60 ];
  out "e is due at ", $k->alarm_adjust($id{e}, -15);
  out "b is due at ", $k->alarm_adjust($id{b}, 15);
};

scenario 'delay_adjust counts from now, for alarms as well', sub {
  my $k = $_[KERNEL];
  my $late  = $k->delay_set(late => 30);
  my $alarm = $k->alarm_set(alarm => time() + 30);
  $k->delay_set(middle => 0.04);
  $k->delay_adjust($late,  0.07);
  $k->delay_adjust($alarm, 0.02);
};
