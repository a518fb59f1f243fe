# POE's k_alarms as a transcript: paths one to ten by name, and what is left, in order, of some
# hundred timers that are set, moved and cleared.
# Laws: L1, L3; 1.3.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

my @paths = (
  [ 'one'   => sub { $_[0]->alarm(one => time() + 1, '1.1') } ],
  [ 'two'   => sub { my $t = time() + 1; $_[0]->alarm(two => $t, '2.1'); $_[0]->alarm(two => $t, '2.2') } ],
  [ 'three' => sub { my $t = time() + 1; $_[0]->alarm_add(three => $t, '3.1'); $_[0]->alarm_add(three => $t, '3.2') } ],
  [ 'four'  => sub {
      my $t = time() + 1;
      $_[0]->alarm(four => $t, '4.1');
      $_[0]->alarm_add(four => $t, '4.2');
      $_[0]->alarm(four => $t, '4.3');
      $_[0]->alarm_add(four => $t, '4.4');
    } ],
  [ 'five'  => sub { $_[0]->alarm(five => time() + 1, '5.1'); $_[0]->alarm('five') } ],
  [ 'six'   => sub { $_[0]->delay(six => 0.01, '6.1') } ],
  [ 'seven' => sub { $_[0]->delay(seven => 0.01, '7.1'); $_[0]->delay(seven => 0.01, '7.2') } ],
  [ 'eight' => sub { $_[0]->delay_add(eight => 0.01, '8.1'); $_[0]->delay_add(eight => 0.01, '8.2') } ],
  [ 'nine'  => sub {
      $_[0]->delay(nine => 0.01, '9.1');
      $_[0]->delay_add(nine => 0.01, '9.2');
      $_[0]->delay(nine => 0.01, '9.3');
      $_[0]->delay_add(nine => 0.01, '9.4');
    } ],
  [ 'ten'   => sub { $_[0]->delay(ten => 0.01, '10.1'); $_[0]->delay('ten') } ],
);

for (@paths) {
  my ($name, $set) = @$_;
  out "== path $name";
  POE::Session->create(
    inline_states => {
      _start => sub { $set->($_[KERNEL]); out $_[KERNEL]->get_event_count, " set" },
      $name  => sub { out "rings: $_[ARG0]" },
      _stop  => sub { out "_stop" },
    },
  );
  POE::Kernel->run;
}

out "== in order among many";
POE::Session->create(
  inline_states => {
    _start => sub {
      my $k = $_[KERNEL];
      my $t = 4_000_000_000;
      my @ids = map { $k->alarm_set("at 25, $_" => $t + 25) } 3, 2, 1;
      $k->alarm_adjust($ids[2], -1);
      $k->alarm_adjust($ids[0], 1);
      $k->alarm_add("fill " . $_ % 7 => $t + 1 + $_ * 7919 % 299) for 0 .. 199;
      $k->alarm("at $_" => $t + $_) for 100, 200, 300, 50, 150, 250, 350, 75, 175;
      my @equal = map { $k->alarm_set("equal $_" => $t + 205) } 1 .. 5;
      $k->alarm_adjust($equal[1], 0);     # keeps its place
      $k->alarm_adjust($equal[0], 10);
      $k->alarm_adjust($equal[0], -10);   # comes back behind the others
      $k->alarm_remove($equal[3]);
      $k->alarm("fill $_") for 0 .. 6;
      out "$_->[0] at ", $_->[1] - $t for $k->alarm_remove_all;
    },
    _stop => sub { out "_stop" },
  },
);
POE::Kernel->run;
