# Signals: who hears them, in which order, and who goes.
# Laws: L45 (first come first served with posts; resolved when sent), L46 (deepest generation
# first, the target last), L48 (the set of sessions and watchers is fixed when the dispatch
# begins), L49 (arguments), L50 (handled: synchronous, one count per dispatch), L51 (who is
# stopped), L52 (nobody outside the subtree), L27 (a watch holds nobody).
# Each generation of the tree has one session that watches, so that no order is left open.
use strict;
use warnings;
use POE;
use Errno qw(ESRCH);

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm {
  my $s = shift;
  return 'undef' unless defined $s;
  return 'kernel' if $s == $poe_kernel;
  return $name{ $s->ID } || '?';
}

# A session that lives for 20 ms. Options: watch => [signals], handle => true (it handles
# them), heard => code, start => code, and further handlers.
my $tell_end = 1;

sub session {
  my ($name, %o) = @_;
  my $watch  = delete $o{watch} || [];
  my $handle = delete $o{handle};
  my $heard  = delete $o{heard};
  my $start  = delete $o{start};
  my $kids   = delete $o{kids};
  return POE::Session->create(
    inline_states => {
      _start => sub {
        my $k = $_[KERNEL];
        $name{ $_[SESSION]->ID } = $name;
        $k->alias_set($name);
        $k->delay(bye => 0.02);
        $k->sig($_ => 'heard', "own") for @$watch;
        $kids->()    if $kids;
        $start->(@_) if $start;
        return "$name started";
      },
      heard => sub {
        out "$name hears (@_[ARG0 .. $#_])";
        $_[KERNEL]->sig_handled if $handle;
        $heard->(@_) if $heard;
      },
      bye     => sub { $_[KERNEL]->alias_remove($name) },
      _child  => sub { out "$name _child $_[ARG0] ", nm($_[ARG1]) if $tell_end && $_[ARG0] ne 'create' },
      _parent => sub { out "$name _parent ", nm($_[ARG0]), " to ", nm($_[ARG1]) },
      _stop   => sub { out "$name _stop, sender ", nm($_[SENDER]) if $tell_end },
      %o,
    },
  );
}

# A(B(C)), and D(E) if asked for; options per name.
sub forest {
  my %o = @_;
  session('A', %{ $o{A} || {} }, kids => sub {
    session('B', %{ $o{B} || {} }, kids => sub { session('C', %{ $o{C} || {} }) });
  });
  session('D', %{ $o{D} }, kids => sub { session('E', %{ $o{E} || {} }) }) if $o{D};
}

my $k = $poe_kernel;
my @say = (watch => [ 'HELLO', 'TERM' ]);

$tell_end = 0;

out "== to the root of A(B(C)): the deepest first";
forest(A => {@say}, B => {@say}, C => {@say});
$k->signal(A => 'HELLO', 1, 'two');
POE::Kernel->run;

out "== to the middle: neither the parent nor others hear it";
forest(A => {@say}, B => {@say}, C => {@say}, D => {@say}, E => {@say});
$k->signal(B => 'HELLO');
POE::Kernel->run;

out "== to the kernel: everybody, generation by generation";
forest(A => {@say}, C => {@say}, D => {}, E => {@say});
$k->signal($k => 'HELLO');
POE::Kernel->run;

out "== who sent it, during which event";
session(
  'S',
  watch  => ['HELLO'],
  start  => sub { $_[KERNEL]->yield('go') },
  go     => sub { $_[KERNEL]->signal(S => 'HELLO') },
  heard  => sub {
    out "sender ", nm($_[SENDER]), ", event $_[STATE], caller state $_[CALLER_STATE], active ",
      nm($_[KERNEL]->get_active_session), " ", $_[KERNEL]->get_active_event;
  },
);
POE::Kernel->run;

out "== first come first served with posts";
session(
  'S',
  watch => ['HELLO'],
  start => sub {
    $_[KERNEL]->yield(event => 1);
    $_[KERNEL]->signal($_[SESSION] => 'HELLO', 2);
    $_[KERNEL]->yield(event => 3);
    $_[KERNEL]->signal($_[SESSION] => 'HELLO', 4);
  },
  event => sub { out "event $_[ARG0]" },
);
POE::Kernel->run;

out "== results; a target that goes before the signal comes";
session('victim', watch => ['HELLO']);
session(
  'S',
  start => sub {
    my $k = $_[KERNEL];
    out "to a session: ", $k->signal(victim => 'TERM');
    out "to a session: ", $k->signal(victim => 'HELLO');
    $! = 0;
    my $result = $k->signal(nobody => 'HELLO');
    out "to nobody: ", $result // 'undef', ", error ", ($! == ESRCH ? 'ESRCH' : 0 + $!);
  },
);
POE::Kernel->run;

$tell_end = 1;

out "== terminal, nobody handles it: all stop in that order";
forest(A => {@say}, B => {@say}, C => {@say});
$k->signal(A => 'TERM');
POE::Kernel->run;

out "== terminal, nobody watches it";
forest();
$k->signal(A => 'TERM');
POE::Kernel->run;

out "== terminal, to the middle: the others live on";
forest(A => { bye => sub { out "A's timer"; $k->alias_remove('A') } });
$k->signal(B => 'TERM');
POE::Kernel->run;

out "== terminal, to the kernel: it goes as well, and a new run is possible";
forest(A => {@say}, C => {@say});
$k->signal($k => 'TERM');
POE::Kernel->run;
out "run returned";

$tell_end = 0;

for my $who (qw(C B A)) {
  out "== terminal, handled by $who alone: all live on";
  my %o = map { $_ => { @say, handle => $_ eq $who } } qw(A B C);
  $o{A}{bye} = sub { out "A's timer"; $k->alias_remove('A') };
  forest(%o);
  $k->signal(A => 'TERM');
  POE::Kernel->run;
}

out "== classes of signals";
{
  my @signals = qw(HUP INT QUIT TERM KILL IDLE DIE ZOMBIE UIDESTROY ALRM CHLD PIPE USR1 WINCH MINE);
  my %lives;
  for my $signal (@signals) {
    for my $handle (0, 1) {
      my $name = "$signal $handle";
      session(
        $name,
        start => sub { $_[KERNEL]->sig($signal => 'quiet') },
        quiet => sub { $_[KERNEL]->sig_handled if $handle },
        bye   => sub { $lives{$name} = 'lives'; $_[KERNEL]->alias_remove($name) },
      );
      $k->signal($name => $signal);
    }
  }
  local $SIG{__WARN__} = sub { };    # a DIE without a record has no text
  POE::Kernel->run;
  out "$_: unhandled ", $lives{"$_ 0"} || 'stops', ", handled ", $lives{"$_ 1"} || 'stops'
    for @signals;
}

$tell_end = 1;

out "== handled by way of a call";
session(
  'S',
  watch => ['TERM'],
  heard => sub { $_[KERNEL]->call($_[SESSION] => 'handle') },
  handle => sub { $_[KERNEL]->sig_handled },
  bye    => sub { out "S's timer"; $_[KERNEL]->alias_remove('S') },
);
$k->signal(S => 'TERM');
POE::Kernel->run;

out "== handled by way of an event: too late; a handler's value means nothing";
session(
  'S',
  watch => ['TERM'],
  heard => sub { $_[KERNEL]->yield('handle'); 1 },
  handle => sub { out "handle!"; $_[KERNEL]->sig_handled },
);
$k->signal(S => 'TERM');
POE::Kernel->run;

out "== the watchers are those of the beginning";
$tell_end = 0;
forest(
  C => {
    @say,
    heard => sub { $_[KERNEL]->call(B => 'unwatch'); $_[KERNEL]->call(A => 'begin') },
  },
  B => { @say, unwatch => sub { $_[KERNEL]->sig('HELLO') } },
  A => { begin => sub { $_[KERNEL]->sig(HELLO => 'heard', 'later') } },
);
$k->signal(A => 'HELLO', 'first');
$k->signal(A => 'HELLO', 'second');
POE::Kernel->run;
$tell_end = 1;

out "== a session made meanwhile is not among those who stop";
forest(
  C => {
    @say,
    heard => sub {
      session('N', bye => sub { out "N's timer"; $_[KERNEL]->alias_remove('N') });
    },
  },
);
$k->signal(A => 'TERM');
POE::Kernel->run;

out "== one watch per session and signal: the last one; and none";
session(
  'S',
  start => sub {
    my $k = $_[KERNEL];
    $k->sig(HELLO => 'one');
    $k->sig(HELLO => 'two', 'extra');
    $k->signal(S => 'HELLO', 'a');
    $k->yield('stop_watching');
  },
  one           => sub { out "one!" },
  two           => sub { out "two (@_[ARG0 .. $#_])" },
  stop_watching => sub {
    $_[KERNEL]->sig('HELLO');
    $_[KERNEL]->signal(S => 'HELLO', 'b');
  },
);
POE::Kernel->run;

out "== a watch does not hold its session";
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->sig(HELLO => 'heard'); $_[KERNEL]->sig(TERM => 'heard') },
    heard  => sub { out "heard!" },
    _stop  => sub { out "_stop" },
  },
);
POE::Kernel->run;
