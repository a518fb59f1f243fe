# State machines (POE::NFA).
# Laws: L80 (first goto at once, later ones queued), L81 (checks, leave, switch, entry), L82 (call and return nest),
# L83 (immediate), L84 (where a handler is looked for).
# A line that begins with [D8] shows where the Rust crate ignores life-cycle events.
use strict;
use warnings;
use POE qw(NFA);
use POE::Session ();

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm {
  my $s = shift;
  return 'undef' unless defined $s;
  return 'kernel' if $s == $poe_kernel;
  return $name{ $s->ID } || '?';
}

# What is handled in which state, sent by whom.
sub facts {
  my ($machine, $event, $sender, $state) = @_[ MACHINE, EVENT, SENDER, STATE ];
  return sprintf '%s in %s (now %s) from %s', $event, $state, $machine->get_current_state, nm($sender);
}
sub say_facts { out facts(@_) }

sub machine {
  my ($name, %params) = @_;
  my $machine = POE::NFA->spawn(runstate => {}, %params);
  $name{ $machine->ID } = $name;
  return $machine;
}

# Someone who catches what goes wrong.
sub catcher {
  my ($do) = @_;
  POE::Session->create(
    inline_states => {
      _start => sub {
        $name{ $_[1]->ID } = 'catcher';
        $poe_kernel->sig(DIE => 'caught');
        $do->();
        $poe_kernel->delay(bye => 0.05);
      },
      bye    => sub { $poe_kernel->sig('DIE') },
      _child => sub { },
      _stop  => sub { },
      caught => sub {
        my $info = $_[11];
        my $text = $info->{error_str};
        my $what =
            $text =~ /nonexistent state/          ? 'no such state'
          : $text =~ /nonexistent enter event/    ? 'no entry handler'
          : $text =~ /empty stack/                ? 'nothing to return to'
          : $text =~ /neither a handler/          ? 'no handler'
          :                                         $text =~ s/\n//r;
        out "caught: $what, in $info->{event} of ", nm($info->{dest_session});
        $poe_kernel->sig_handled;
      },
    },
  );
}

out "== the first goto acts at once, later ones are queued";
machine(
  'M',
  inline_states => {
    first => {
      enter => sub {
        say_facts(@_);
        $_[KERNEL]->yield('a');
        $_[MACHINE]->goto_state(second => enter => 7);
        $_[KERNEL]->yield('b');
        out "the handler goes on in ", $_[MACHINE]->get_current_state;
      },
      a     => \&say_facts,
      leave => sub { out facts(@_), ", arguments ", scalar(@_) - ARG0 },
    },
    second => {
      enter => sub { out facts(@_), ", argument $_[ARG0]" },
      b     => \&say_facts,
      leave => sub { out "never!" },
    },
  },
)->goto_state(first => 'enter');
out "goto has returned";
POE::Kernel->run;

out "== a state may be gone to without a word, and to itself";
machine(
  'M',
  inline_states => {
    first => {
      enter => sub {
        say_facts(@_);
        $_[RUNSTATE]{times}++;
        $_[MACHINE]->goto_state(first => 'enter') if $_[RUNSTATE]{times} == 1;
        $_[MACHINE]->goto_state('second') if $_[RUNSTATE]{times} == 2;
        $_[KERNEL]->yield('hello');
      },
      hello => \&say_facts,
      leave => \&say_facts,
    },
    second => { hello => \&say_facts, enter => sub { out "never!" } },
  },
)->goto_state(first => 'enter');
POE::Kernel->run;

out "== call and return nest";
machine(
  'M',
  inline_states => {
    outer => {
      enter => sub { say_facts(@_); $_[MACHINE]->call_state(answer => middle => enter => 1) },
      leave => \&say_facts,
      answer => sub { out facts(@_), ", got $_[ARG0]" },
    },
    middle => {
      enter  => sub { say_facts(@_); $_[MACHINE]->call_state(answer => inner => enter => $_[ARG0] + 1) },
      answer => sub { out facts(@_), ", got $_[ARG0]"; $_[MACHINE]->return_state($_[ARG0] + 1) },
      leave  => \&say_facts,
    },
    inner => {
      enter => sub { say_facts(@_); $_[MACHINE]->return_state($_[ARG0] + 1) },
      leave => \&say_facts,
    },
  },
)->goto_state(outer => 'enter');
POE::Kernel->run;

out "== a silent return";
machine(
  'M',
  inline_states => {
    outer => {
      enter => sub { say_facts(@_); $_[MACHINE]->call_state(undef, inner => 'enter') },
      hello => \&say_facts,
    },
    inner => {
      enter => sub { say_facts(@_); $_[MACHINE]->return_state(1); $_[KERNEL]->yield('hello') },
    },
  },
)->goto_state(outer => 'enter');
POE::Kernel->run;

out "== immediate: all of it before the method returns";
machine(
  'M',
  options       => { immediate => 1 },
  inline_states => {
    outer => {
      enter => sub {
        say_facts(@_);
        $_[KERNEL]->yield('later');
        $_[MACHINE]->goto_state(second => enter => 1);
        out "[R1] back in ", $_[EVENT], " of $_[STATE], now ", $_[MACHINE]->get_current_state;
      },
      leave => \&say_facts,
    },
    second => {
      enter => sub {
        say_facts(@_);
        $_[MACHINE]->call_state(answer => third => 'enter');
        out "second goes on, now ", $_[MACHINE]->get_current_state;
      },
      answer => sub { out facts(@_), ", got $_[ARG0]" },
      leave => \&say_facts,
      later => \&say_facts,
    },
    third => {
      enter => sub {
        say_facts(@_);
        $_[MACHINE]->return_state('an answer');
        out "third goes on, now ", $_[MACHINE]->get_current_state;
      },
      leave => \&say_facts,
    },
  },
)->goto_state(outer => 'enter');
out "goto has returned";
POE::Kernel->run;

out "== where a handler is looked for";
machine(
  'M',
  inline_states => {
    first => {
      enter => sub {
        my $k = $_[KERNEL];
        $k->state(both   => sub { out "never!" });
        $k->state(shared => sub { out facts(@_), ", the shared one" });
        $k->yield($_) for qw(both shared unknown);
        $_[MACHINE]->goto_state('second');
        $k->yield('shared');
        $k->yield('last');
      },
      both     => \&say_facts,
      _default => sub { out facts(@_), ", for $_[ARG0]" },
    },
    second => { last => sub { say_facts(@_); $_[KERNEL]->state('shared') } },
  },
)->goto_state(first => 'enter');
POE::Kernel->run;

out "== what goes wrong leaves the state as it is";
catcher(sub {
  machine(
    'M',
    inline_states => {
      first => {
        enter => sub {
          my ($k, $m) = @_[ KERNEL, MACHINE ];
          $k->yield('unknown');
          $m->goto_state('nowhere');
          $m->goto_state(second => 'absent');
          $m->return_state(1);
          $k->yield('hello');
        },
        hello => \&say_facts,
        leave => sub { out "never!" },
      },
      second => { enter => sub { out "never!" } },
    },
  )->goto_state(first => 'enter');
});
POE::Kernel->run;

out "== an event before the first state";
catcher(sub {
  my $m = machine('M', inline_states => { first => { hello => sub { out "never!" } } });
  $poe_kernel->post($m, 'hello');
});
POE::Kernel->run;

out "== stop is queued, and needs no consent";
machine(
  'M',
  inline_states => {
    first => {
      enter => sub {
        my ($k, $m) = @_[ KERNEL, MACHINE ];
        $k->alias_set('held');
        $k->delay(hello => 60);
        $k->yield('hello');
        $m->stop;
        $k->yield('lost');
        out "still in ", $m->get_current_state;
      },
      hello => \&say_facts,
      lost  => sub { out "never!" },
      leave => sub { out "never!" },
    },
  },
)->goto_state(first => 'enter');
POE::Kernel->run;

out "== children of a stopped machine go to its parent";
POE::Session->create(
  inline_states => {
    _start => sub {
      $name{ $_[1]->ID } = 'P';
      machine(
        'M',
        inline_states => {
          first => {
            enter => sub {
              POE::Session->create(
                inline_states => {
                  _start  => sub { $name{ $_[1]->ID } = 'C'; $poe_kernel->delay(bye => 0.05) },
                  _parent => sub { out "C: parent ", nm($_[10]), " to ", nm($_[11]) },
                  _stop   => sub { out "C stop" },
                  bye     => sub { },
                },
              );
              $_[MACHINE]->stop;
            },
            _child => sub { out "M: $_[ARG0] ", nm($_[ARG1]) },
          },
        },
      )->goto_state(first => 'enter');
    },
    _child => sub { out "P: $_[10] ", nm($_[11]) if $_[10] ne 'create' },
    _stop  => sub { out "P stop" },
  },
);
POE::Kernel->run;
