# POE's exc/01_normal, exc/03_not_handled, whelan-dieprop and grinnz-die-in-die as transcripts.
# Laws: L66, L67, L69, L70.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub session {
  my ($name, %states) = @_;
  return POE::Session->create(
    inline_states => {
      _start => sub { },
      _child => sub { out "$name _child $_[ARG0]" },
      _stop  => sub { out "$name _stop" },
      %states,
    },
  );
}

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else {
    my $text = $@;
    out "run threw";
    my %at = map { $_ => index $text, $_ } 'first error', 'second error';
    out "  $_" for sort { $at{$a} <=> $at{$b} } grep { $at{$_} >= 0 } keys %at;
  }
}

out "== caught and handled";
session(
  'S',
  _start => sub {
    $_[KERNEL]->sig(DIE => 'avoid');
    $_[KERNEL]->yield('death');
    $_[KERNEL]->delay(party => 0.03);
  },
  death => sub { die "first error\n" },
  avoid => sub {
    out "$_[ARG0] of $_[ARG1]{event}, from $_[ARG1]{from_state}";
    $_[KERNEL]->sig('DIE');
    $_[KERNEL]->sig_handled;
  },
  party => sub { out "party" },
);
run();

out "== watched, not handled";
session(
  'other',
  _start => sub { $_[KERNEL]->delay(last_breath => 0.05) },
  last_breath => sub { out "last breath!" },
);
session(
  'S',
  _start => sub { $_[KERNEL]->sig(DIE => 'mock'); $_[KERNEL]->yield('death') },
  death  => sub { die "first error\n" },
  mock   => sub { out "S hears $_[ARG0]" },
);
run();

out "== the child hears it, then the parent, who handles it";
session(
  'parent',
  _start => sub {
    $_[KERNEL]->sig(DIE => 'exception');
    session(
      'child',
      _start    => sub { $_[KERNEL]->sig(DIE => 'exception'); $_[KERNEL]->yield('throw') },
      throw     => sub { die "first error\n" },
      exception => sub { out "child hears it" },
    );
  },
  exception => sub { out "parent hears it"; $_[KERNEL]->sig_handled },
);
run();

out "== the child handles it, and the parent hears it all the same";
session(
  'parent',
  _start => sub {
    $_[KERNEL]->sig(DIE => 'exception');
    session(
      'child',
      _start    => sub { $_[KERNEL]->sig(DIE => 'exception'); $_[KERNEL]->yield('throw') },
      throw     => sub { die "first error\n" },
      exception => sub { out "child hears it"; $_[KERNEL]->sig_handled },
    );
  },
  exception => sub { out "parent hears it" },
);
run();

out "== in _start, and once more in the handler";
session(
  'S',
  _start => sub { $_[KERNEL]->sig(DIE => 'sig_DIE'); die "first error\n" },
  sig_DIE => sub { out "$_[ARG0] of $_[ARG1]{event}"; die "second error\n" },
);
run();

out "== the parent's handler fails for the child's failure";
session(
  'parent',
  _start => sub {
    $_[KERNEL]->sig(DIE => 'exception');
    session(
      'child',
      _start => sub { $_[KERNEL]->yield('throw') },
      throw  => sub { die "first error\n" },
    );
  },
  exception => sub { out "parent hears it"; die "second error\n" },
);
run();
