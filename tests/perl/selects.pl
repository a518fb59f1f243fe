# File watchers: what comes in which order, removal, pauses, what a slice holds.
# Laws: L5 (readers, then writers), L6 (a handle's handler posts into the same slice), L75-L79, D4.
use strict;
use warnings;
use POE;
use Socket;

$| = 1;
sub out { print @_, "\n" }

my @mode = qw(read write expedite);

sub new_pipe {
  pipe my $reader, my $writer or die $!;
  syswrite $writer, $_[0] if length $_[0];
  return ($reader, $writer);
}

sub new_pair {
  socketpair my $near, my $far, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die $!;
  syswrite $far, $_[0] if length $_[0];
  return ($near, $far);
}

my $alive = 0;
sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start};
  POE::Session->create(
    inline_states => {
      _start => sub { $alive++; $start->(@_) },
      _stop  => sub { $alive--; out "  stop of $name" },
      %states,
    },
  );
}

sub slices {
  my $n = 0;
  while ($alive) {
    out "slice ", ++$n;
    $poe_kernel->run_one_timeslice;
    die "endless" if $n > 50;
  }
  POE::Kernel->run;
}

my ($reader, $writer, $near, $far);

out "== a readable handle and a chain of events take turns";
($reader, $writer) = new_pipe('x');
my $reads = 0;
session(
  'A',
  _start => sub {
    $_[KERNEL]->select_read($reader, 'readable', 'extra', 7);
    $_[KERNEL]->yield(chain => 1);
  },
  readable => sub {
    out "  readable ", ++$reads, ", mode $mode[$_[ARG1]], @_[ARG2, ARG3]";
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
  'A',
  _start   => sub { $_[KERNEL]->select_read($reader, 'readable') },
  readable => sub {
    out "  readable ", ++$reads;
    $_[KERNEL]->yield(posted => $reads);
    $_[KERNEL]->select_read($reader) if $reads == 2;
  },
  posted => sub { out "  posted $_[ARG0]"; $_[KERNEL]->yield('later') },
  later  => sub { out "  later" },
);
slices();

out "== readers before writers, whichever was watched first";
($near, $far) = new_pair('x');
my $writes = 0;
session(
  'A',
  _start => sub {
    $_[KERNEL]->select_write($near, 'writable');
    $_[KERNEL]->select_read($near, 'readable');
  },
  readable => sub { out "  readable" },
  writable => sub {
    out "  writable";
    $_[KERNEL]->select($near) if ++$writes == 2;
  },
);
slices();

out "== a reader's handler takes the write watch away";
session(
  'A',
  _start => sub {
    $_[KERNEL]->select($near, 'readable', 'writable');
  },
  readable => sub { out "  readable"; $_[KERNEL]->select($near) },
  writable => sub { out "never!" },
);
slices();

out "== paused and resumed";
session(
  'A',
  _start => sub {
    my $k = $_[KERNEL];
    $k->select_read($near, 'readable');
    out "  pause read: ", $k->select_pause_read($near);
    out "  pause write: ", $k->select_pause_write($near);
    out "  resume write: ", $k->select_resume_write($near);
    $k->delay(resume => 0.02);
  },
  resume => sub {
    out "  resume read: ", $_[KERNEL]->select_resume_read($near);
  },
  readable => sub { out "  readable"; $_[KERNEL]->select_read($near) },
);
slices();

out "== selecting again";
session(
  'A',
  _start => sub {
    my $k = $_[KERNEL];
    $k->select_read($near, 'first');
    $k->select_pause_read($near);
    $k->select_read($near, 'second');
  },
  first  => sub { out "  [D4] first event"; $_[KERNEL]->select_read($near) },
  second => sub { out "  [D4] second event"; $_[KERNEL]->select_read($near) },
);
slices();

out "== the end of a stream can be read, and read again";
close $far;
sysread $near, my $buffer, 10;
$reads = 0;
session(
  'A',
  _start   => sub { $_[KERNEL]->select_read($near, 'readable') },
  readable => sub {
    my $n = sysread $_[ARG0], my $bytes, 10;
    out "  read $n";
    $_[KERNEL]->select_read($near) if ++$reads == 2;
  },
);
slices();

out "== a regular file is always ready";
open my $file, '<', $0 or die $!;
$reads = 0;
session(
  'A',
  _start   => sub { $_[KERNEL]->select_read($file, 'readable') },
  readable => sub {
    out "  readable";
    $_[KERNEL]->select_read($file) if ++$reads == 3;
  },
);
slices();

out "== a watched handle means not idle, a paused one as well";
($reader, $writer) = new_pipe('');
session(
  'A',
  _start => sub {
    $_[KERNEL]->sig(IDLE => 'idle');
    $_[KERNEL]->select_read($reader, 'event');
    $_[KERNEL]->delay(timer => 0.02);
  },
  idle  => sub { out "never!" },
  timer => sub {
    my $k = $_[KERNEL];
    if (!$_[HEAP]{paused}++) {
      out "  pause";
      $k->select_pause_read($reader);
      $k->delay(timer => 0.02);
    }
    else {
      out "  clear";
      $k->select_read($reader);
    }
  },
);
POE::Kernel->run;
