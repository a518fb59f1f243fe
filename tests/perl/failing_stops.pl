# POE's k_signals_rerun without its processes: eight runs, of which one fails in a _stop; and
# where such a failure surfaces.
# Laws: L36, L37, L86.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw ", map { s/\n$//r } $@ }
}

for my $die_on_bad_exit (0, 1) {
  for my $exit (0, 1, 0, 0) {
    out "== fatal $die_on_bad_exit, exit $exit";
    POE::Session->create(
      inline_states => {
        _start => sub {
          POE::Session->create(
            inline_states => {
              _start  => sub { $_[KERNEL]->refcount_increment($_[SESSION]->ID, 'running'); $_[KERNEL]->delay(ended => 0.01) },
              ended   => sub { out "ended"; $_[KERNEL]->refcount_decrement($_[SESSION]->ID, 'running') },
              _parent => sub { out "_parent!" },
              _stop   => sub { out "inner _stop"; die "bad exit\n" if $die_on_bad_exit && $exit; 'fine' },
            },
          );
        },
        _child => sub { out "_child $_[ARG0] ", $_[ARG2] // 'undef' if $_[ARG0] eq 'lose' },
        _stop  => sub { out "outer _stop" },
      },
    );
    run();
  }
}

out "== a failing _stop while others have work: they stop after the next event";
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->delay(tick => 0.03); $_[KERNEL]->delay(tock => 0.06) },
    tick   => sub { out "tick" },
    tock   => sub { out "tock!" },
    _stop  => sub { out "worker _stop" },
  },
);
POE::Session->create(
  inline_states => { _start => sub { }, _stop => sub { out "failing _stop"; die "in _stop\n" } },
);
run();

out "== stop in a handler, and a failing _stop by it";
POE::Session->create(
  inline_states => {
    _start => sub {
      POE::Session->create(
        inline_states => { _start => sub { $_[KERNEL]->alias_set('a') }, _stop => sub { out "child _stop"; die "first\n" } },
      );
      $_[KERNEL]->yield('go');
    },
    go     => sub { $_[KERNEL]->stop; out "stopped" },
    _child => sub { },
    _stop  => sub { out "parent _stop" },
  },
);
run();

out "== the next is clean";
POE::Session->create(
  inline_states => { _start => sub { $_[KERNEL]->yield('go') }, go => sub { out "go" }, _stop => sub { out "_stop" } },
);
run();
