# POE's z_steinert_signal_integrity, further: nested sessions get a signal's arguments whole,
# send one another signals while one is dispatched, and stop the kernel in the last handler.
# Laws: L45, L46, L48-L52.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub chain {
  my ($n, $depth, %o) = @_;
  return POE::Session->create(
    inline_states => {
      _start => sub {
        chain($n + 1, $depth, %o) if $n < $depth;
        $_[KERNEL]->alias_set("s$n");
        $_[KERNEL]->sig(MOO => 'moo', "own $n");
        $_[KERNEL]->sig(TERM => 'term') if $o{term};
        $_[KERNEL]->delay(bye => 0.05);
      },
      moo => sub {
        out "$n: $_[STATE] $_[ARG0] @_[ARG1 .. $#_]";
        $o{moo}->($n, @_) if $o{moo};
      },
      term   => sub { out "$n: TERM"; $o{term}->($n, @_) if ref $o{term} },
      posted => sub { out "$n: posted" },
      bye    => sub { $_[KERNEL]->sig('MOO'); $_[KERNEL]->sig('TERM'); $_[KERNEL]->alias_remove("s$n") },
      _child => sub { out "$n: _child $_[ARG0]" unless $_[ARG0] eq 'create' },
      _stop  => sub { out "$n: _stop" },
    },
  );
}

out "== arguments, the signal's and the watcher's own";
chain(1, 2);
$poe_kernel->signal($poe_kernel, MOO => 99, 'red');
POE::Kernel->run;

out "== signals out of a signal's handler wait until all have heard the first";
chain(
  1, 3,
  moo => sub {
    my ($n, $k) = ($_[0], $_[ KERNEL + 1 ]);
    if ($_[ ARG1 + 1 ] == 1) {
      $k->signal($k, MOO => 10 + $n) if $n != 2;
      $k->post(s1 => 'posted');
    }
  },
);
$poe_kernel->signal($poe_kernel, MOO => 1);
POE::Kernel->run;

out "== each dispatch is handled for itself";
chain(
  1, 2,
  moo  => sub { my ($n, $k) = ($_[0], $_[ KERNEL + 1 ]); if ($n == 2) { $k->signal(s1 => 'TERM'); $k->sig_handled } },
  term => sub { },
);
$poe_kernel->signal($poe_kernel, MOO => 2);
POE::Kernel->run;

out "== handled by the middle one of three";
chain(1, 3, term => sub { $_[ KERNEL + 1 ]->sig_handled if $_[0] == 2 });
$poe_kernel->signal(s1 => 'TERM');
POE::Kernel->run;

out "== the last handler stops the kernel";
chain(
  1, 3,
  moo => sub { my ($n, $k) = ($_[0], $_[ KERNEL + 1 ]); if ($n == 1) { $k->stop; out "stopped" } },
);
$poe_kernel->signal(s1 => MOO => 3);
$poe_kernel->post(s1 => 'posted');
POE::Kernel->run;

out "== to the parent both hear it, to the child it alone";
chain(1, 2);
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->yield('go') },
    go     => sub {
      $_[KERNEL]->signal(s1 => MOO => 4);
      $_[KERNEL]->signal(s2 => MOO => 5);
      $_[KERNEL]->delay(bye => 0.1);
    },
    bye   => sub { },
    _stop => sub { out "sender _stop" },
  },
);
POE::Kernel->run;
