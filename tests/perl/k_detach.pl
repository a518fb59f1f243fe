# POE's k_detach as a transcript: three children with three children each leave their parents
# by themselves or by their parents' will; parents and children call each other meanwhile.
# Laws: L12 (calls), L32 and L39.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub ask {
  my $whom = shift;
  return $whom == $poe_kernel ? 'kernel' : $poe_kernel->call($whom, 'get_alias');
}

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  POE::Session->create(
    inline_states => {
      _start       => sub { $_[KERNEL]->alias_set($name); $start->(@_) },
      _parent      => sub { out "$name _parent ", ask($_[ARG0]), ' to ', ask($_[ARG1]) },
      _child       => sub { out "$name _child $_[ARG0] ", ask($_[ARG1]) },
      get_alias    => sub { $name },
      detach_self  => sub { $_[KERNEL]->detach_myself },
      detach_child => sub { $_[KERNEL]->detach_child($_[ARG0]) },
      leave        => sub { $_[KERNEL]->alias_remove($name) },
      _stop        => sub { out "$name _stop" },
      %states,
    },
  );
}

out "== born";
session(
  'main',
  _start => sub {
    for my $n (1 .. 3) {
      session("c$n", _start => sub { session("c${n}_$_") for 1 .. 3 });
    }
    $_[KERNEL]->delay(run_tests => 0.02);
  },
  run_tests => sub {
    out "== by themselves";
    $_[KERNEL]->call("c${_}_1" => 'detach_self') for 1 .. 3;
    out "== by their parents";
    $_[KERNEL]->call("c$_" => detach_child => "c${_}_2") for 1 .. 3;
    out "== their parents";
    $_[KERNEL]->call(c1 => 'detach_self');
    $_[KERNEL]->call(main => detach_child => 'c2');
    out "== one after another they end";
    my $delay = 0;
    $_[KERNEL]->delay_add(end => 0.02 * ++$delay, $_)
      for qw(c1_1 c2_2 c1_3 c1 c3_3 c3 c2 c2_3 c2_1 c1_2 c3_1 c3_2 main);
  },
  end => sub { $_[KERNEL]->call($_[ARG0] => 'leave') },
);
POE::Kernel->run;
