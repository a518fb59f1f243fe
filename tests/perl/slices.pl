# What belongs to one slice of the event loop.
# Laws: L5 (wait, ready handles, due events, garbage collection), L6 ("due" is measured
# once: what an event's handler posts runs in the next slice, a timer that it sets in the
# past in this one, what a handle's handler posts in this one), L28 (collection at the end).
# The twin drives the same sessions one slice at a time (an event budget of 1).
use strict;
use warnings;
use POE;
use Time::HiRes qw(time sleep);

$| = 1;
sub out { print @_, "\n" }

# Runs slices from outside, until no session of ours is left.
my $alive = 0;
sub slices {
  my $n = 0;
  while ($alive) {
    out "slice ", ++$n;
    $poe_kernel->run_one_timeslice;
    die "endless" if $n > 50;
  }
  POE::Kernel->run;    # the kernel itself ends
}

sub session {
  my %states = @_;
  my $start = delete $states{_start};
  my $stop  = delete $states{_stop};
  POE::Session->create(
    inline_states => {
      _start => sub { $alive++; $start->(@_) },
      _stop  => sub { $alive--; $stop ? $stop->(@_) : out "  stop" },
      %states,
    },
  );
}

out "== generations of posts";
session(
  _start => sub { $_[KERNEL]->yield('a1'); $_[KERNEL]->yield('a2') },
  a1     => sub { out "  a1"; $_[KERNEL]->yield('b1') },
  a2     => sub { out "  a2"; $_[KERNEL]->yield('b2') },
  b1     => sub { out "  b1"; $_[KERNEL]->yield('c') },
  b2     => sub { out "  b2" },
  c      => sub { out "  c" },
);
slices();

out "== a timer in the past still runs in this slice, and first";
session(
  _start => sub { $_[KERNEL]->yield('a1'); $_[KERNEL]->yield('a2') },
  a1     => sub {
    out "  a1";
    $_[KERNEL]->yield('post');
    $_[KERNEL]->delay(overdue => -1);
    $_[KERNEL]->alarm(older => 100);
  },
  a2      => sub { out "  a2" },
  overdue => sub { out "  overdue" },
  older   => sub { out "  older" },
  post    => sub { out "  post" },
);
slices();

out "== a timer that becomes due while a handler is busy waits for the next slice";
session(
  _start => sub {
    $_[KERNEL]->yield('busy');
    $_[KERNEL]->yield('a');
    $_[KERNEL]->delay(timer => 0.02);
  },
  busy  => sub { out "  busy"; sleep 0.04; $_[KERNEL]->yield('b') },
  a     => sub { out "  a" },
  timer => sub { out "  timer" },
  b     => sub { out "  b" },
);
slices();

out "== a readable handle and a chain of events take turns";
my ($reader, $writer);
pipe $reader, $writer or die $!;
syswrite $writer, 'x';
my $reads = 0;
session(
  _start => sub {
    $_[KERNEL]->select_read($reader, 'readable');
    $_[KERNEL]->yield(chain => 1);
  },
  readable => sub {
    out "  readable ", ++$reads;
    $_[KERNEL]->select_read($reader) if $reads == 4;
  },
  chain => sub {
    out "  chain $_[ARG0]";
    $_[KERNEL]->yield(chain => $_[ARG0] + 1) if $_[ARG0] < 6;
  },
);
slices();

out "== what a handle's handler posts runs in the same slice";
$reads = 0;
session(
  _start => sub {
    $_[KERNEL]->select_read($reader, 'readable');
  },
  readable => sub {
    out "  readable ", ++$reads;
    $_[KERNEL]->yield(posted => $reads);
    $_[KERNEL]->select_read($reader) if $reads == 2;
  },
  posted => sub { out "  posted $_[ARG0]"; $_[KERNEL]->yield('later') },
  later  => sub { out "  later" },
);
slices();

out "== collection comes at the end of the slice";
my $id;
session(
  _start => sub { $id = $_[SESSION]->ID; $_[KERNEL]->yield('last') },
  last   => sub { out "  the first session's last event" },
  _stop  => sub { out "  stop of the first" },
);
session(
  _start => sub { $_[KERNEL]->yield('look') },
  look   => sub {
    out "  still there: ", ($_[KERNEL]->ID_id_to_session($id) ? 'yes' : 'no');
    $_[KERNEL]->yield('look_again');
  },
  look_again => sub {
    out "  still there: ", ($_[KERNEL]->ID_id_to_session($id) ? 'yes' : 'no');
  },
  _stop => sub { out "  stop of the second" },
);
slices();
