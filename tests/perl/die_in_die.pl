# An exception in a handler of DIE, and one after stop.
# Laws: L70.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw"; out "  | $_" for split /\n/, $@ }
}

sub session {
  my ($name, %states) = @_;
  return POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->alias_set($name);
        $_[KERNEL]->sig(DIE => 'died') if $states{died};
        $_[KERNEL]->yield('boom')      if $states{boom};
      },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
      %states,
    },
  );
}

my $boom = sub { die "first trouble\n" };

out "== not handled, and one more";
session('other');
session('S', boom => $boom, died => sub { out "S hears DIE"; die "second trouble\n" });
run();

out "== handled, and one more: only the new one";
session('S', boom => $boom, died => sub {
  out "S hears DIE";
  $_[KERNEL]->sig_handled;
  die "second trouble\n";
});
run();

out "== the parent handles what the child makes worse";
POE::Session->create(
  inline_states => {
    _start => sub {
      $_[KERNEL]->alias_set('P');
      $_[KERNEL]->sig(DIE => 'died');
      session('C', boom => $boom, died => sub { out "C hears DIE"; die "second trouble\n" });
    },
    died   => sub { out "P hears DIE"; $_[KERNEL]->sig_handled },
    _child => sub { },
    _stop  => sub { out "P _stop" },
  },
);
run();

out "== after stop, straight out of run";
POE::Session->create(
  inline_states => {
    _start => sub {
      $_[KERNEL]->sig(DIE => 'died');
      session('child');
      $_[KERNEL]->yield('boom');
    },
    boom => sub {
      $_[KERNEL]->stop;
      out "goes on";
      die "after the end\n";
    },
    died   => sub { out "hears DIE!" },
    _child => sub { },
    _stop  => sub { out "_stop" },
  },
);
run();

out "== a new run works";
session('S', boom => sub { out "fine"; $_[KERNEL]->alias_remove('S') });
run();
