# How a session goes.
# Laws: L29 (sweep order: most recently marked first; a parent goes after its last child,
# in a later round of the same sweep), L32 (gain, _parent, _stop, lose), L33 and L34 (what
# works inside _stop and lose), L35 (a session made in _stop), L36, L28 (no second look
# at references once the sweep has begun), L65 (SENDER).
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
  my $stop  = delete $states{_stop}  || sub { };
  my $child = delete $states{_child} || sub { };
  my $quiet = delete $states{quiet};
  return POE::Session->create(
    inline_states => {
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_); "$name started" },
      _child => sub {
        my ($why, $which, $value) = @_[ARG0 .. ARG2];
        unless ($quiet && $why eq 'create') {
          out "$name _child $why ", nm($which),
            (@_ > ARG2 ? ' (' . ($value // 'undef') . ')' : ''), ", sender ", nm($_[SENDER]);
        }
        $child->(@_);
      },
      _parent => sub {
        out "$name _parent ", nm($_[ARG0]), " to ", nm($_[ARG1]), ", sender ", nm($_[SENDER]);
      },
      _stop => sub {
        out "$name _stop, sender ", nm($_[SENDER]), ", active ",
          nm($_[KERNEL]->get_active_session);
        $stop->(@_);
        "$name stopped";
      },
      %states,
    },
  );
}

out "== four idle sessions stop newest first";
session("idle $_") for 1 .. 4;
POE::Kernel->run;

out "== marked anew, first to go";
{
  my @idle = map { session("idle $_") } 1 .. 4;
  session(
    'toucher',
    _start => sub { $_[KERNEL]->yield('touch') },
    touch  => sub {
      my $id = $idle[1]->ID;
      out "up to ",   $_[KERNEL]->refcount_increment($id, 'touch');
      out "down to ", $_[KERNEL]->refcount_decrement($id, 'touch');
      @idle = ();
    },
  );
}
POE::Kernel->run;

out "== a parent follows its last child, behind all that were marked before";
session(
  'P',
  quiet  => 1,
  _start => sub { session("child $_") for 1 .. 3 },
);
session('Q');
POE::Kernel->run;

out "== an event that held both: its sender goes first";
{
  my $receiver = session('receiver', event => sub { out "receiver got the event" });
  my $id = $receiver->ID;
  session(
    'sender',
    _start => sub { $_[KERNEL]->refcount_increment($id, 'held'); $_[KERNEL]->delay(go => 0.02) },
    go     => sub {
      $_[KERNEL]->post($id => 'event');
      $_[KERNEL]->refcount_decrement($id, 'held');
    },
  );
}
POE::Kernel->run;

out "== once the sweep has begun a revival is too late";
{
  my $older = session(
    'older',
    revive => sub {
      $_[KERNEL]->alias_set('older');
      $_[KERNEL]->delay(later => 0.02);
      out "older took an alias and set a timer";
    },
    later => sub { out "later!" },
  )->ID;
  session('newer', _stop => sub { $_[KERNEL]->call($older => 'revive') });
}
POE::Kernel->run;

out "== a reference that a _stop lets go of";
{
  my $held = session(
    'held',
    _start => sub { $_[KERNEL]->refcount_increment($_[SESSION]->ID, 'hold') },
  )->ID;
  session('holder', _stop => sub {
    out "down to ", $_[KERNEL]->refcount_decrement($held, 'hold');
  });
}
POE::Kernel->run;

# The child is made while TERM is being dispatched, hence not among those that TERM stops.
out "== stopped while a child lives: gain, _parent, _stop, lose";
session(
  'P',
  quiet  => 1,
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $middle = session(
      'M',
      quiet  => 1,
      _start => sub { $_[KERNEL]->sig(TERM => 'term') },
      term   => sub {
        session(
          'C',
          _start => sub { $_[KERNEL]->delay(bye => 0.02) },
          bye    => sub { out "C says bye" },
        );
        out "M leaves TERM unhandled";
      },
    );
    $_[KERNEL]->signal($middle => 'TERM');
  },
);
POE::Kernel->run;

out "== what works inside _stop, and inside the parent's lose";
session('bystander',
  _start => sub { $_[KERNEL]->alias_set('bystander'); $_[KERNEL]->delay(bye => 0.06) },
  hello  => sub { out "bystander got hello from ", nm($_[SENDER]); 'hello back' },
  bye    => sub { out "bystander leaves"; $_[KERNEL]->alias_remove('bystander') },
);
session(
  'P',
  quiet  => 1,
  _start => sub { $_[KERNEL]->yield('go'); $_[KERNEL]->delay(bye => 0.04) },
  go     => sub {
    session(
      'S',
      ask   => sub { out "S answers ", nm($_[SENDER]); 'an answer' },
      echo  => sub { out "echo!" },
      timer => sub { out "timer!" },
      _stop => sub {
        my ($k, $me) = @_[KERNEL, SESSION];
        out "resolves: ", nm($k->ID_id_to_session($me->ID));
        out "call to another: ", $k->call(bystander => 'hello');
        out "call to itself: ",  $k->call($me => 'ask');
        out "post to another: ", $k->post(bystander => 'hello');
        $k->yield('echo');
        $k->delay(timer => 0.02);
        out "alias_set: ", $k->alias_set('gone soon');
        out "refcount: ",  $k->refcount_increment($me->ID, 'dropped');
      },
    );
  },
  hello  => sub { out "hello!" },
  _child => sub {
    my ($k, $why, $child) = @_[KERNEL, ARG0, ARG1];
    return unless $why eq 'lose';
    out "P calls the dead: ", $k->call($child => 'ask');
    out "P posts to it: ",    $k->post($child => 'echo');
    out "P holds it: ",       $k->refcount_increment($child->ID, 'dropped');
    $_[HEAP]{id} = $child->ID;
  },
  bye => sub {
    my $k = $_[KERNEL];
    out "S resolves: ", nm($k->ID_id_to_session($_[HEAP]{id}));
    out "its alias: ", nm($k->alias_resolve('gone soon'));
    out "post to it: ", $k->post($_[HEAP]{id} => 'echo') // 'undef';
  },
);
POE::Kernel->run;

out "== a session made in _stop goes to the parent without a word";
session(
  'P',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    session(
      'S',
      _stop => sub {
        session(
          'late',
          _start => sub { $_[KERNEL]->delay(bye => 0.02) },
          bye    => sub { out "late says bye" },
        );
      },
    );
  },
);
POE::Kernel->run;

out "== stop, from within: children first, the caller last, each once";
session(
  'A',
  quiet  => 1,
  _start => sub {
    $_[KERNEL]->alias_set('A');
    session(
      'B',
      quiet  => 1,
      _start => sub {
        $_[KERNEL]->alias_set('B');
        session('C', _start => sub { $_[KERNEL]->alias_set('C') });
      },
    );
    $_[KERNEL]->yield('go');
    $_[KERNEL]->yield('never');
  },
  go    => sub { $_[KERNEL]->stop; out "A goes on" },
  never => sub { out "never!" },
);
POE::Kernel->run;
