# An exception in _stop.
# Laws: L37 (no DIE; the parent is told, the session is freed; the error comes out of run,
# when the next item has been dispatched or at the end; a later one replaces it), L36.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw ", map { s/\n$//r } $@ }
}

sub session {
  my ($name, %states) = @_;
  return POE::Session->create(
    inline_states => {
      _start => sub { },
      _child => sub { out "$name _child $_[ARG0] (", $_[ARG2] // 'undef', ")" if $_[ARG0] ne 'create' },
      _stop  => sub { out "$name _stop" },
      died   => sub { out "$name hears DIE!" },
      %states,
    },
  );
}

out "== alone";
session('S', _stop => sub { out "S _stop"; die "stop\n" });
run();

out "== the parent is told, nobody hears DIE";
session(
  'P',
  _start => sub {
    $_[KERNEL]->sig(DIE => 'died');
    session(
      'C',
      _start => sub { $_[KERNEL]->sig(DIE => 'died') },
      _stop  => sub { out "C _stop"; die "stop of C\n" },
    );
  },
);
run();

out "== the next item is dispatched, then all stop";
session(
  'other',
  _start => sub { $_[KERNEL]->delay(timer => 0.03); $_[KERNEL]->delay(later => 0.06) },
  timer  => sub { out "other timer"; $_[KERNEL]->yield('later') },
  later  => sub { out "later!" },
);
session('S', _stop => sub { out "S _stop"; die "stop of S\n" });
run();

out "== a later one replaces it";
session('second', _stop => sub { out "second _stop"; die "stop of second\n" });
session('first',  _stop => sub { out "first _stop"; die "stop of first\n" });
run();

out "== it replaces an unhandled exception";
session('S', _start => sub { $_[KERNEL]->alias_set('S') }, _stop => sub { out "S _stop"; die "stop of S\n" });
session('T', _start => sub { $_[KERNEL]->yield('boom') }, boom => sub { die "boom\n" });
run();

out "== a new run works";
session('S', _start => sub { $_[KERNEL]->yield('fine') }, fine => sub { out "fine" });
run();
