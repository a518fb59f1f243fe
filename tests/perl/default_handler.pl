# Handlers by name: the fallback, and adding, replacing and removing at run time.
# Laws: L60 (state acts on queued events; a handler may replace or remove itself), L61
# (events named like POE's own may be posted), L62 (_default), L63 (one heap), L22.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm {
  my $s = shift;
  return 'undef' unless defined $s;
  return 'kernel' if $s == $poe_kernel;
  return $name{ $s->ID } || '?';
}

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  return POE::Session->create(
    inline_states => {
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_) },
      %states,
    },
  );
}

# What _default got: event name and arguments; sessions by name.
sub default_facts {
  my ($event, $args) = @_[ARG0, ARG1];
  return "$_[STATE] for $event (" . join(', ', map { ref $_ ? nm($_) : $_ // 'undef' } @$args)
    . "), sender " . nm($_[SENDER]);
}

out "== every event without a handler, life-cycle events too";
session(
  'S',
  _start => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->yield('yielded', 1, 2);
    $k->delay(timer => 0.02, 'x');
    $k->sig(HELLO => 'hello', 'watcher');
    $k->signal($me => 'HELLO', 'signal');
    session('C');
    out "called: ", $k->call($me => 'called', 3);
  },
  known    => sub { out "known!" },
  _default => sub { out default_facts(@_); "from _default" },
);
POE::Kernel->run;

out "== its value counts: as the answer of a call, as the value of _stop";
session(
  'parent',
  _start => sub { $_[KERNEL]->yield('go') },
  _stop  => sub { },
  _child => sub { out "_child $_[ARG0]: $_[ARG2]" },
  go     => sub {
    my $child = session(
      'child',
      _start   => sub { 'started' },
      _default => sub { "default of $_[ARG0]" },
    );
    out "call: ", $_[KERNEL]->call($child => 'question');
  },
);
POE::Kernel->run;

out "== the arguments survive being passed on";
session(
  'S',
  _start   => sub { $_[KERNEL]->yield('odd', qw(some random args)) },
  _stop    => sub { },
  _default => sub { $_[KERNEL]->yield(again => $_[ARG1]) },
  again    => sub { out "args: @{ $_[ARG0] }" },
);
POE::Kernel->run;

out "== no handler and no _default: nothing happens";
session(
  'S',
  _start => sub {
    $_[KERNEL]->yield('nobody');
    $_[KERNEL]->yield('somebody');
  },
  somebody => sub { out "somebody" },
  _stop    => sub { out "S _stop" },
);
POE::Kernel->run;

out "== added, replaced and removed while the events are queued";
session(
  'S',
  _start => sub {
    my $k = $_[KERNEL];
    $k->yield('added');
    $k->yield('replaced');
    $k->yield('removed');
    out "add: ", $k->state(added => sub { out "added: there" });
    $k->state(replaced => sub { out "replaced: new" });
    $k->state('removed');
    $k->state('never was there');
  },
  replaced => sub { out "replaced: old" },
  removed  => sub { out "removed!" },
  _default => sub { out "_default $_[ARG0]" unless $_[ARG0] =~ /^_/ },
);
POE::Kernel->run;

out "== a handler replaces itself, another one removes itself";
session(
  'S',
  _start => sub {
    my $k = $_[KERNEL];
    $k->yield($_) for qw(changing changing leaving leaving);
  },
  changing => sub {
    $_[KERNEL]->state(changing => sub { out "changing: second" });
    out "changing: first";
  },
  leaving => sub {
    $_[KERNEL]->state('leaving');
    out "leaving: once";
  },
  _stop => sub { },
);
POE::Kernel->run;

out "== the handler of one session is not touched by another";
my %shared = (
  _stop => sub { },
  event => sub { out nm($_[SESSION]), ": original, heap ", ++$_[HEAP]{n} },
);
session(
  'one', %shared,
  _start => sub {
    $_[KERNEL]->yield('event') for 1 .. 2;
    $_[KERNEL]->state(event => sub { out "one: replaced, heap ", ++$_[HEAP]{n} });
  },
);
session('two', %shared, _start => sub { $_[KERNEL]->yield('event') for 1 .. 2 });
POE::Kernel->run;

out "== events named like POE's own";
session(
  'S',
  _start => sub {
    out "_start, sender ", nm($_[SENDER]), ", argument ", $_[ARG0] // 'none';
    if (!$_[HEAP]{starts}++) {
      $_[KERNEL]->yield('_start', 'posted');
      $_[KERNEL]->yield('_stop');
      $_[KERNEL]->yield('after');
    }
  },
  _stop => sub { out "_stop, sender ", nm($_[SENDER]) },
  after => sub { out "after" },
);
POE::Kernel->run;
