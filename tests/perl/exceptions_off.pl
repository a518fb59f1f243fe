# Exceptions with CATCH_EXCEPTIONS off.
# Laws: L13 and L15 (out of a call, where the caller may catch it), L21 and L68 (no DIE is
# heard, all stop, run throws), L86 (the next run is clean). After exc/02_turn_off.
use strict;
use warnings;
sub POE::Kernel::CATCH_EXCEPTIONS () { 0 }
use POE;

$| = 1;
sub out { print @_, "\n" }

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  my %life = (A => 0.03, B => 0.06, C => 0.09);
  return POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->alias_set($name);
        $_[KERNEL]->sig(DIE => 'died');
        $_[KERNEL]->delay(bye => $life{$name});
        $start->(@_);
      },
      boom   => sub { out "$name boom"; die "boom in $name\n" },
      died   => sub { out "$name hears DIE"; $_[KERNEL]->sig_handled },
      waits  => sub { out "$name waits" },
      bye    => sub { out "$name leaves"; $_[KERNEL]->alias_remove($name) },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
      %states,
    },
  );
}

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw ", map { s/\n$//r } $@ }
}

sub attempt {
  my ($k, $whom) = @_;
  my $ok = eval { $k->call($whom => 'boom'); 1 };
  out $ok ? "call returned" : "call threw $@" =~ s/\n$//r;
}

out "== in a queued handler: what waits is lost, all stop, run throws";
session('A', _start => sub { $_[KERNEL]->yield('boom'); $_[KERNEL]->yield('waits') });
run();

out "== in a called session: the caller may catch it, and all goes on";
session('B');
session(
  'A',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub { attempt($_[KERNEL], 'B'); $_[KERNEL]->yield('waits') },
);
run();

out "== in a call to oneself";
session(
  'A',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub { attempt($_[KERNEL], $_[SESSION]); $_[KERNEL]->yield('waits') },
);
run();

out "== through two calls, caught by the first caller";
session('C');
session('B', relay => sub { out "B relays"; $_[KERNEL]->call(C => 'boom'); out "not reached" });
session(
  'A',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $ok = eval { $_[KERNEL]->call(B => 'relay'); 1 };
    out $ok ? "call returned" : "call threw $@" =~ s/\n$//r;
  },
);
run();

out "== in _stop: one _stop, and run throws";
session('A', bye => sub { $_[KERNEL]->alias_remove('A') }, _stop => sub { out "A _stop"; die "stop of A\n" });
run();

out "== the next run is clean";
session('A');
run();
