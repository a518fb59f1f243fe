# Aliases.
# Laws: 1.4 (results of each call), L8 (a target is resolved when posting), L90 (many per
# session, private removal, gone with the session), L40-L42 (an alias alone does not keep a
# session for ever: IDLE, then ZOMBIE).
# A line that begins with [D1] shows where the Rust crate gives an error instead, one that
# begins with [type] what a typed language cannot express.
use strict;
use warnings;
use POE;
use Errno qw(EEXIST EPERM ESRCH);

$| = 1;
sub out { print @_, "\n" }
sub code {
  my $n = 0 + shift;
  return { EEXIST, 'EEXIST', EPERM, 'EPERM', ESRCH, 'ESRCH' }->{$n} || $n;
}

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
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_); "$name started" },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
      %states,
    },
  );
}

out "== setting, removing";
session(
  'other',
  _start => sub { $_[KERNEL]->alias_set('taken') },
  done   => sub { $_[KERNEL]->alias_remove('taken') },
);
session(
  'S',
  _start => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    out "set: ",              code($k->alias_set('new'));
    out "set again: ",        code($k->alias_set('new'));
    out "set a second: ",     code($k->alias_set('a second'));
    out "set another's: ",    code($k->alias_set('taken'));
    out "remove another's: ", code($k->alias_remove('taken'));
    out "remove unknown: ",   code($k->alias_remove('unknown'));
    out "list: ", join(', ', $k->alias_list);
    out "list by session: ", join(', ', $k->alias_list($me));
    out "list by ID: ",      join(', ', $k->alias_list($me->ID));
    out "list by alias: ",   join(', ', $k->alias_list('new'));
    out "list of the other: ", join(', ', $k->alias_list('taken'));
    $! = 0;
    my @none = $k->alias_list('unknown');
    out "list of unknown: ", scalar(@none), ", error ", code($!);
    out "scalar: ", scalar $k->alias_list;
    out "remove: ",       code($k->alias_remove('new'));
    out "remove again: ", code($k->alias_remove('new'));
    out "list: ", join(', ', $k->alias_list);
    out "remove: ", code($k->alias_remove('a second'));
    out "scalar: ", scalar($k->alias_list) // 'undef';
    $k->post(taken => 'done');
  },
);
POE::Kernel->run;

out "== resolving";
session(
  'S',
  _start => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->alias_set('here');
    out "object: ",        nm($k->alias_resolve($me));
    out "[type] string form: ", nm($k->alias_resolve("$me"));
    out "ID: ",            nm($k->alias_resolve($me->ID));
    out "alias: ",         nm($k->alias_resolve('here'));
    out "kernel: ",        nm($k->alias_resolve($k));
    out "kernel's ID: ",   nm($k->alias_resolve($k->ID));
    $! = 0;
    my $nobody = $k->alias_resolve('nowhere');
    out "[D1] unknown: ", nm($nobody), ", error ", code($!);
    out "ID to session: ", nm($k->ID_id_to_session($me->ID));
    out "session to ID: ", ($k->ID_session_to_id($me) == $me->ID ? 'its own' : 'another');
    $! = 0;
    $nobody = $k->ID_id_to_session(1_000_000);
    out "unknown ID: ", nm($nobody), ", error ", code($!);
    $! = 0;
    $nobody = $k->ID_id_to_session('here');
    out "an alias is no ID: ", nm($nobody), ", error ", code($!);
    $! = 0;
    $nobody = $k->ID_session_to_id('here');
    out "an alias is no session: ", $nobody // 'undef', ", error ", code($!);
    $k->alias_remove('here');
  },
);
POE::Kernel->run;

out "== an alias that looks like a live ID is hidden by it";
my $first = session('first', _start => sub { $_[KERNEL]->delay(done => 0.02) }, done => sub { });
session(
  'second',
  _start => sub {
    my $k = $_[KERNEL];
    out "set: ", code($k->alias_set($first->ID));
    out "resolves to ", nm($k->alias_resolve($first->ID));
    $k->alias_remove($first->ID);
    undef $first;
  },
);
POE::Kernel->run;

out "== posts are resolved when they are made";
session(
  'one',
  _start => sub { $_[KERNEL]->alias_set('desk'); $_[KERNEL]->yield('go') },
  go     => sub {
    my $k = $_[KERNEL];
    $k->post(desk => hello => 'before');
    $k->alias_remove('desk');
    session(
      'two',
      _start => sub { $_[KERNEL]->alias_set('desk') },
      hello  => sub { out "two hears $_[ARG0]"; $_[KERNEL]->alias_remove('desk') },
    );
    $k->post(desk => hello => 'after');
  },
  hello => sub { out "one hears $_[ARG0]" },
);
POE::Kernel->run;

out "== the alias of a dead session is free";
session(
  'old',
  _start => sub { $_[KERNEL]->alias_set('post'); $_[KERNEL]->sig(TERM => 'term') },
  term   => sub { },
);
session(
  'new',
  _start => sub { $_[KERNEL]->signal(post => 'TERM'); $_[KERNEL]->delay(go => 0.02) },
  go     => sub {
    out "resolves to ", nm($_[KERNEL]->alias_resolve('post'));
    out "set: ", code($_[KERNEL]->alias_set('post'));
    $_[KERNEL]->alias_remove('post');
  },
);
POE::Kernel->run;

# One session has nothing but an alias; another one, without an alias, is gone long before.
for my $handles (0, 1) {
  out "== alone with an alias, IDLE ", ($handles ? '' : 'not '), "handled";
  session(
    'alone',
    _start => sub {
      my $k = $_[KERNEL];
      $k->alias_set('alone');
      $k->sig(IDLE   => 'idle');
      $k->sig(ZOMBIE => 'zombie');
    },
    idle   => sub { out "$_[ARG0]"; $_[KERNEL]->sig_handled if $handles },
    zombie => sub { out "$_[ARG0]"; $_[KERNEL]->sig_handled },
  );
  session(
    'brief',
    _start => sub {
      my $k = $_[KERNEL];
      $k->alias_set('brief');
      $k->alias_remove('brief');
      $k->sig(IDLE => 'idle');
    },
    idle => sub { out "brief: idle!" },
  );
  POE::Kernel->run;
}

out "== a parent with an alias and a child with another, children first";
session(
  'parent',
  _start => sub {
    $_[KERNEL]->alias_set('parent');
    session('child', _start => sub { $_[KERNEL]->alias_set('child') });
  },
);
POE::Kernel->run;

out "== an alias keeps its session while others work";
session(
  'service',
  _start => sub { $_[KERNEL]->alias_set('service') },
  count  => sub { out "count ", ++$_[HEAP]{n} },
);
session(
  'worker',
  _start => sub { $_[KERNEL]->delay(work => 0.02, 3) },
  work   => sub {
    $_[KERNEL]->post(service => 'count');
    $_[KERNEL]->delay(work => 0.02, $_[ARG0] - 1) if $_[ARG0] > 1;
  },
);
POE::Kernel->run;
