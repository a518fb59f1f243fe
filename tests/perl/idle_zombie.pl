# When nothing can happen any more.
# Laws: L40 (the test for idleness), L41 (IDLE goes to everybody; one who handles it saves
# all), L42 (ZOMBIE, and what averts it), L43 (only `run` makes ZOMBIE), L44 (what is never
# idle), L51.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

# A session with an alias that tells of IDLE and ZOMBIE and hands both to the given code.
sub scenario {
  my ($title, %do) = @_;
  out "== $title";
  POE::Session->create(
    inline_states => {
      _start => sub {
        my $k = $_[KERNEL];
        $k->alias_set('the one');
        $k->sig(IDLE   => 'idle');
        $k->sig(ZOMBIE => 'zombie');
        $do{start}->(@_) if $do{start};
      },
      idle => sub {
        out "idle ", ++$_[HEAP]{idle}, ", args: @_[ARG0 .. $#_]";
        $do{idle}->(@_) if $do{idle};
      },
      zombie => sub {
        out "zombie";
        $_[KERNEL]->sig_handled;
        $do{zombie}->(@_) if $do{zombie};
      },
      timer => sub { out "timer"; $do{timer}->(@_) if $do{timer} },
      event => sub { out "event"; $do{event}->(@_) if $do{event} },
      _stop => sub { out "stop" },
    },
  );
  POE::Kernel->run;
  out "run returned";
}

scenario 'not handled: everybody stops, no ZOMBIE';

scenario 'handled: ZOMBIE, which cannot be handled',
  idle => sub { $_[KERNEL]->sig_handled };

scenario 'handled, and a post averts ZOMBIE: idle again later',
  idle => sub {
    $_[KERNEL]->sig_handled;
    $_[KERNEL]->yield('event') if $_[HEAP]{idle} == 1;
  };

scenario 'handled, and a timer averts ZOMBIE',
  idle => sub {
    $_[KERNEL]->sig_handled;
    $_[KERNEL]->delay(timer => 0.02) if $_[HEAP]{idle} < 3;
  };

scenario 'a post alone does not help: IDLE was not handled',
  idle => sub { $_[KERNEL]->yield('event') };

scenario 'an extra reference taken in the handler comes too late for ZOMBIE',
  idle => sub {
    $_[KERNEL]->sig_handled;
    $_[KERNEL]->refcount_increment($_[SESSION]->ID, 'late');
  };

scenario 'what a ZOMBIE handler posts is lost',
  idle   => sub { $_[KERNEL]->sig_handled },
  zombie => sub { $_[KERNEL]->yield('event'); $_[KERNEL]->delay(timer => 0.02) };

scenario 'letting the alias go in the handler: no ZOMBIE needed',
  idle => sub { $_[KERNEL]->sig_handled; $_[KERNEL]->alias_remove('the one') };

scenario 'a timer means not idle',
  start => sub { $_[KERNEL]->delay(timer => 0.03) };

scenario 'an extra reference means not idle',
  start => sub {
    my ($k, $id) = ($_[KERNEL], $_[SESSION]->ID);
    $k->refcount_increment($id, 'busy');
    POE::Session->create(
      inline_states => {
        _start  => sub { $_[KERNEL]->delay(release => 0.04) },
        release => sub {
          out "releases it: ", $_[KERNEL]->refcount_decrement($id, 'busy');
        },
        _stop => sub { },
      },
    );
  };

my ($reader, $writer);
pipe $reader, $writer or die $!;
scenario 'a watched handle means not idle, a paused one as well',
  start => sub {
    $_[KERNEL]->select_read($reader, 'event');
    $_[KERNEL]->delay(timer => 0.02);
  },
  timer => sub {
    my $k = $_[KERNEL];
    if (!$_[HEAP]{paused}++) {
      $k->select_pause_read($reader);
      $k->delay(timer => 0.02);
    }
    else {
      $k->select_read($reader);
    }
  };

out "== one who handles IDLE saves all, ZOMBIE takes all";
my $idles = 0;
POE::Session->create(
  inline_states => {
    _start => sub {
      $_[KERNEL]->alias_set('parent');
      $_[KERNEL]->sig($_ => 'heard') for qw(IDLE ZOMBIE);
      POE::Session->create(
        inline_states => {
          _start => sub {
            $_[KERNEL]->alias_set('child');
            $_[KERNEL]->sig($_ => 'heard') for qw(IDLE ZOMBIE);
          },
          heard => sub { out "child hears $_[ARG0]" },
          _stop => sub { out "child stops" },
        },
      );
    },
    heard => sub {
      out "parent hears $_[ARG0]";
      $_[KERNEL]->sig_handled;
      $_[KERNEL]->delay(work => 0.02) if $_[ARG0] eq 'IDLE' && !$idles++;
    },
    work   => sub { out "parent works" },
    _child => sub { },
    _stop  => sub { out "parent stops" },
  },
);
POE::Kernel->run;
out "run returned";

out "== slice by slice from outside there is no ZOMBIE";
my $stopped = 0;
POE::Session->create(
  inline_states => {
    _start => sub {
      $_[KERNEL]->alias_set('the one');
      $_[KERNEL]->sig(IDLE   => 'idle');
      $_[KERNEL]->sig(ZOMBIE => 'zombie');
    },
    idle => sub {
      out "idle ", ++$_[HEAP]{idle};
      $_[KERNEL]->sig_handled if $_[HEAP]{idle} < 4;
    },
    zombie => sub { out "zombie!" },
    _stop  => sub { out "stop"; $stopped = 1 },
  },
);
$poe_kernel->run_one_timeslice until $stopped;
out "no session left: ", ($poe_kernel->run_one_timeslice ? 'no' : 'yes');
POE::Kernel->run;
