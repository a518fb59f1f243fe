# Who goes after a session that was stopped by a signal: its parent, and those whom its events have held.
# Laws: L29 (the last marked first), L32 (out of the tree, then the events to it, then those from it).
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub session {
  my ($name, %states) = @_;
  return POE::Session->create(
    inline_states => {
      _child  => sub { },
      _parent => sub { },
      told    => sub { out "$name told" },
      let_go  => sub { $_[KERNEL]->alias_remove($name) },
      _start  => sub { $_[KERNEL]->alias_set($name) },
      _stop   => sub { out "$name _stop" },
      %states,
    },
  );
}

# P lives by its child S alone; Q and R by what they and S have sent each other; S is sent TERM.
sub scene {
  my (@steps) = @_;
  session(
    'P',
    _start => sub {
      session(
        'S',
        tell => sub { $_[KERNEL]->post($_[ARG0], 'told') },
      );
    },
  );
  session(
    'Q',
    _start => sub { $_[KERNEL]->alias_set('Q'); $_[KERNEL]->yield('go') },
    go     => sub { $_[KERNEL]->signal(S => 'TERM'); $_->() for @steps; $_[KERNEL]->alias_remove('Q') },
  );
  session('R', posts => sub { $_[KERNEL]->post(S => 'told') });
  POE::Kernel->run;
}

my $k = $poe_kernel;

out "== events to it";
scene(sub { $k->post(S => 'told') }, sub { $k->call(R => 'posts') }, sub { $k->call(R => 'let_go') });

out "== events from it";
scene(sub { $k->call(S => tell => 'R') }, sub { $k->call(S => tell => 'Q') }, sub { $k->call(R => 'let_go') });

out "== both, those to it count first";
scene(sub { $k->call(S => tell => 'Q') }, sub { $k->call(R => 'posts') }, sub { $k->call(R => 'let_go') });

out "== both, the other way round";
scene(sub { $k->call(S => tell => 'R') }, sub { $k->post(S => 'told') }, sub { $k->call(R => 'let_go') });
