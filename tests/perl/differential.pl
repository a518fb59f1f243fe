# Plays the random programs of tests/differential under Perl's POE.
#
# Standard input holds programs, one action a line (tests/differential/program.rs describes them). Each is played in a
# process of its own, forked from this one, so that no program sees what an earlier one has left. Standard output
# holds the transcript of each, ended by a line `.`.
#
# What POE leaves to chance is fixed here, and two things are done as this crate does them; nothing else is touched:
# - Time is virtual. Each look at the clock is one tick later than the last, so that no two posts and no two timers
#   tie unless the program asks for it by an absolute time; where nothing is due the clock jumps to the head of the queue.
# - Children of a session are visited in the order in which they became its children; POE has them in a hash.
# - A count of references does not go below zero (D5). A postback that is purged with its session, in an event, would
#   take one from a count that is cleared by then, and that keeps POE from being idle for ever.
# - The failure that ends a run is thrown by `run`. POE also throws it out of each `call` that a `_stop` makes meanwhile;
use strict;
use warnings;
use B ();
use POSIX ();

my ($nominal, $ticks);

BEGIN {
  require Time::HiRes;
  ($nominal, $ticks) = (0, 0);
  no warnings 'redefine';
  *Time::HiRes::time = sub () { 1000 + $nominal + ++$ticks / (1 << 20) };
  $ENV{POE_USE_POSIXRT} = 0;
}

use POE qw(Session);
use POE::NFA ();

# A lexical of POE's, which a subroutine has in its pad.
sub lexical {
  my ($sub, $wanted) = @_;
  my $pad = B::svref_2object($sub)->PADLIST;
  my ($names, $values) = $pad->ARRAY;
  my @names = $names->ARRAY;
  my @values = $values->ARRAY;
  for my $i (0 .. $#names) {
    next unless ref $names[$i] && $names[$i]->can('PV') && ($names[$i]->PV // '') eq $wanted;
    return $values[$i]->object_2svref;
  }
  die "no $wanted";
}

# When which session became whose child.
my %order;
my $order = 0;
my $counts;
my $stuck = 'nothing can happen any more';

{
  no warnings 'redefine';
  no strict 'refs';

  my $allocate = \&POE::Kernel::_data_ses_allocate;
  *POE::Kernel::_data_ses_allocate = sub {
    my (undef, undef, $sid, $parent) = @_;
    $order{"$parent $sid"} = ++$order if defined $parent;
    goto &$allocate;
  };
  my $move = \&POE::Kernel::_data_ses_move_child;
  *POE::Kernel::_data_ses_move_child = sub {
    my (undef, $sid, $parent) = @_;
    $order{"$parent $sid"} = ++$order;
    goto &$move;
  };
  my $children = \&POE::Kernel::_data_ses_get_children;
  *POE::Kernel::_data_ses_get_children = sub {
    my ($self, $sid) = @_;
    return sort { $order{ "$sid " . $a->ID } <=> $order{ "$sid " . $b->ID } } &$children;
  };

  my $decrement = \&POE::Kernel::_data_extref_dec;
  $counts = lexical($decrement, '%kr_extra_refs');
  *POE::Kernel::_data_extref_dec = sub {
    my (undef, $sid, $tag) = @_;
    return 0 unless exists $counts->{$sid} && $counts->{$sid}{$tag};
    goto &$decrement;
  };

  my $rethrow = \&POE::Kernel::_rethrow_kr_exception;
  *POE::Kernel::_rethrow_kr_exception = sub {
    goto &$rethrow unless POE::Kernel::CATCH_EXCEPTIONS && (caller 1)[3] eq 'POE::Kernel::call';
  };

  # A DIE that waits holds its sender, so that the sender's heap, and what is in it, outlives the session. With us it only says who that was.
  my $enqueue = \&POE::Kernel::_data_ev_enqueue;
  *POE::Kernel::_data_ev_enqueue = sub {
    my $etc = $_[5];
    if (ref $etc eq 'ARRAY' && @$etc && !ref $etc->[0] && ($etc->[0] // '') eq 'DIE' && ref $etc->[1] eq 'HASH') {
      my $sender = $etc->[1]{source_session};
      $etc->[1]{source_session} = bless \(my $id = $sender->ID), 'Sender' if ref $sender && $sender != $POE::Kernel::poe_kernel;
    }
    goto &$enqueue;
  };
  *Sender::ID = sub { ${ $_[0] } };

  # With catching off POE throws a failure that is pending already out of the next call (L15). With us it ends the run only.
  unless (POE::Kernel::CATCH_EXCEPTIONS) {
    my $call = \&POE::Kernel::call;
    *POE::Kernel::call = sub {
      local $POE::Kernel::kr_exception;
      &$call;
    };
  }

  *POE::Kernel::loop_do_timeslice = sub {
    my $self = shift;
    $self->_test_if_kernel_is_idle();
    my $due = $self->get_next_event_time;
    die \$stuck unless defined $due;
    # To the half second that the head is due in. The ticks go on, so whatever is due in it is due now.
    my $jump = POSIX::floor(($due - 1000) * 2) / 2;
    $nominal = $jump if $jump > $nominal;
    $self->_data_ev_dispatch_due();
  };
}

my $kernel = $poe_kernel;

# One program.

my @tags    = qw(one two);
my @aliases = qw(huey dewey louie);
my @signals = qw(HELLO TERM INT UIDESTROY IDLE ZOMBIE DIE);
my @rings   = qw(ring rang);
my @states  = qw(first second bare);
use constant { KERNEL_PICKED => 8, ROUND => 10_000, SLICES => 300 };

my (@script, @sessions, @timers, $tokens, $stops, $die_sent);
our ($in_signal, $in_stop, $in_life, $in_leave, $firing, $spawning);

# How many lines were said.
my ($said, $in_slices) = (0, 0);

sub say_line { $said++; print STDOUT @_, "\n" }

sub id { my $session = shift; $session == $kernel ? 'kernel' : $session->ID }

sub known { my $sid = shift; $sessions[ $sid - 1 ] = $sid }

sub token { ++$tokens }

# A session by number; the kernel itself.
sub who {
  my $which = shift;
  return $kernel->ID if $which == KERNEL_PICKED || !@sessions;
  return 1 + $which % @sessions;
}

# Twice the seconds since the program began.
sub halves { POSIX::floor(shift() * 2) }

# What a handler does: a line, and the next batch of the script. $came says what came along.
sub batch {
  my ($me, $event, $sender, $state, $from, $heap, $came) = @_;
  my $active = $kernel->get_active_event;
  say_line join ' ', halves($nominal), id($me), $event, 'from', id($sender), 'in', $from // '-', 'active',
    id($kernel->get_active_session), $active // '-', defined $state ? "state $state" : (), @$came;
  # A machine that is in no state yet is left alone: POE takes the first event for its first state.
  # And one that is gone, after a `stop` beneath it.
  perform($me, $heap, shift @script) unless $spawning || !exists_id($me->ID);
  return;
}

sub perform {
  my ($me, $heap, $batch) = @_;
  my $before = $stops;
  for my $op (@{ $batch || [] }) {
    my $result;
    if ($me == $kernel) { $result = eval { step($me, $heap, split / /, $op) } // 'died' }
    else                { $result = step($me, $heap, split / /, $op) }
    say_line '  ', ($me == $kernel ? 'kernel' : $me->ID), " $op: $result";
    # Of what a handler does after a `stop` beneath it POE takes no care: its session is gone.
    return if $stops != $before && $me != $kernel;
  }
}

# The handlers of sessions and of machines have their parameters in the same places.
my %handlers = (
  told  => sub { batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10] ]) },
  told_back => sub { batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10] ]) },
  ring  => sub { batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10] ]) },
  rang  => sub { batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10] ]) },
  back  => sub { batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10][0], $_[11][0] ]) },
  asked => sub { my $token = $_[10]; batch(@_[ 1, 4, 5, 6, 9, 3 ], [$token]); return $token },
  backed => sub { my $token = $_[11][0]; batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10][0], $token ]); return $token },
  # A gift is moved, as it is here: POE would keep the event's arguments, and with them the postback, until the handler has returned.
  given => sub {
    push @{ $_[3]{backs} }, $_[10];
    $_[10] = undef;
    batch(@_[ 1, 4, 5, 6, 9, 3 ], []);
  },
  heard => sub {
    my @came = @_[ 10 .. $#_ ];
    if (ref $came[1]) {
      my $why = $came[1];
      my $text = $why->{error_str};
      splice @came, 1, 1, failure($text), id($why->{dest_session}), $why->{event}, id($why->{source_session}),
        $why->{from_state} // '-';
    }
    local $in_signal = $in_signal + 1;
    $kernel->sig_handled if $_[3]{handles} && $came[0] ne 'DIE' && !$in_life;
    batch(@_[ 1, 4, 5, 6, 9, 3 ], \@came);
  },
  _child => sub {
    my ($how, $child, $result) = @_[ 10 .. 12 ];
    known($child->ID);
    local $in_life = 1;
    local $in_stop = $in_stop || $how ne 'create';
    batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $how, $child->ID, $result // '-' ]);
  },
  _parent => sub {
    local $in_life = 1;
    local $in_stop = 1;
    batch(@_[ 1, 4, 5, 6, 9, 3 ], [ map { id($_) } @_[ 10, 11 ] ]);
  },
  _default => sub {
    known($_[11][1]->ID) if $_[10] eq '_child';
    local $in_life = $in_life || $_[10] =~ /^_/;
    local $in_stop = $in_stop || $_[10] =~ /^_(stop|parent)/ || $_[10] eq '_child' && $_[11][0] ne 'create';
    batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10] ]);
    return;
  },
);

sub unmuted { batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10], 'unmuted' ]) }

# The text of a failure, as far as it is the program's own: what POE says itself is worded otherwise than with us.
sub failure {
  my @parts = split /Additional error thrown in handler for previous error:/, shift // '';
  # A DIE that the program has sent has no text.
  @parts = grep { /\S/ } @parts;
  return join ' | ', map { /(on purpose \d+)/ ? $1 : 'failure' } @parts ? @parts : '';
}

sub create {
  my $kind = shift;
  my %kind = map { $_ => 1 } split //, $kind;
  if ($kind{m}) {
    my %common = map { $_ => $handlers{$_} } qw(told_back ring rang back backed asked given heard _child _parent);
    $common{entered} = sub {
      $_[2]->sig(DIE => 'heard', 0) if delete $_[3]{heeds_die};
      if (delete $_[3]{heeds_ends}) { $_[2]->sig($_ => 'heard', 0) for qw(ZOMBIE UIDESTROY) }
      batch(@_[ 1, 4, 5, 6, 9, 3 ], [ $_[10] ]);
    };
    my $leave = sub {
      local $in_leave = 1;
      batch(@_[ 1, 4, 5, 6, 9, 3 ], []);
    };
    local $spawning = 1;
    my $machine = POE::NFA->spawn(
      inline_states => {
        first  => { %common, told => $handlers{told}, leave => $leave },
        second => { %common, $kind{d} ? (_default => $handlers{_default}) : (), leave => $leave },
        bare   => { %common },
      },
      runstate => { heeds_die => $kind{h}, heeds_ends => $kind{z}, handles => $kind{z}, backs => [] },
      options  => { $kind{i} ? (immediate => 1) : () },
    );
    my $id = $machine->ID;
    known($id);
    $spawning = 0;
    $machine->goto_state('first', 'entered', token());
    return $id;
  }
  my %states = map { $_ => $handlers{$_} } qw(told ring rang back backed asked given heard);
  unless ($kind{q}) {
    $states{$_} = $handlers{$_} for qw(_child _parent);
    $states{_stop} = sub {
      local $in_stop = $in_stop + 1;
      local $in_life = 1;
      batch(@_[ 1, 4, 5, 6, 9, 3 ], []);
      return $_[1]->ID;
    };
  }
  $states{_default} = $handlers{_default} if $kind{d};
  my $id;
  POE::Session->create(
    heap          => { handles => $kind{z}, backs => [] },
    inline_states => {
      %states,
      _start => sub {
        $id = $_[1]->ID;
        known($id);
        $_[2]->sig(DIE => 'heard', 0) if $kind{h};
        if ($kind{z}) { $_[2]->sig($_ => 'heard', 0) for qw(ZOMBIE UIDESTROY) }
        batch(@_[ 1, 4, 5, 6, 9, 3 ], []);
        return $_[1]->ID;
      },
    },
  );
  return $id;
}

# Where a timer goes. All but absolute ones are due in the second; $k counts seconds from the one that it is.
sub landing {
  my ($from, $k) = @_;
  return $k == 0 ? 0 : POSIX::floor($from) + $k - $from;
}

sub timer { my $which = shift; @timers ? $timers[ $which % @timers ] : undef }

sub errno {
  my $error = shift() + 0;
  return 'taken' if $error == POSIX::EEXIST();
  return 'not permitted' if $error == POSIX::EPERM();
  return 'none';
}

sub told_of { my ($ok, $refusal) = @_; $ok ? 'ok' : $refusal }

sub exists_id { my $id = shift; defined $id && defined $kernel->ID_id_to_session($id) }

sub step {
  my ($me, $heap, $op, @args) = @_;
  my ($n, $k) = @args;

  # A failure in `_start` and the like that is not caught would come out of the next `call`, whatever that is.
  return '-' if !POE::Kernel::CATCH_EXCEPTIONS && $kernel->get_active_event =~ /^_/ && $op =~ /^(die|panic|call|call_self|fire)$/;
  return create($n) if $op eq 'create' && !$in_stop;
  return '-' if $op eq 'create';
  # Between two runs POE's kernel is no session.
  return '-' if $me == $kernel && !grep { exists_id($_) } @sessions;
  return told_of(scalar $kernel->post(who($n), 'told', token()), 'gone') if $op eq 'post';
  return told_of(scalar $kernel->post($aliases[$n], 'told', token()), 'gone') if $op eq 'post_alias';
  return told_of(scalar $kernel->post(who($n), 'nowhere', token()), 'gone') if $op eq 'nowhere';
  return called(who($n)) if $op eq 'call';
  return '-' if $op eq 'signal' && $signals[$k] eq 'DIE' && $die_sent++;
  return told_of(scalar $kernel->signal(who($n), $signals[$k], $signals[$k] eq 'DIE' ? () : token()), 'gone')
    if $op eq 'signal';
  # The kernel has no counts with us.
  return 'gone' if $op =~ /^(inc|dec)$/ && who($n) eq $kernel->ID;
  if ($op eq 'inc') {
    return $kernel->refcount_increment(who($n), $tags[$k]) // 'gone';
  }
  if ($op eq 'dec') {
    my $id = who($n);
    return 'gone' unless exists_id($id);
    # D5: below zero it is an error with us.
    return 'none' unless $counts->{$id} && $counts->{$id}{ $tags[$k] };
    return $kernel->refcount_decrement($id, $tags[$k]);
  }
  return '-' if $me == $kernel;

  return do { $kernel->yield(told => token()); 'ok' } if $op eq 'yield';
  return called($me->ID) if $op eq 'call_self';
  if ($op eq 'alias_set') {
    my $error = $kernel->alias_set($aliases[$n]);
    return $error ? errno($error) : 'ok';
  }
  if ($op eq 'alias_remove') {
    my $error = $kernel->alias_remove($aliases[$n]);
    return $error ? errno($error) : 'ok';
  }
  if ($op eq 'alias_resolve') {
    my $session = $kernel->alias_resolve($aliases[$n]);
    return join ' ', $session ? id($session) : 'none', $kernel->alias_list;
  }

  if ($op =~ /^delay(_add)?$/) {
    $kernel->$op($rings[$n], landing($nominal, $k), token());
    return 'ok';
  }
  if ($op eq 'delay_clear') {
    $kernel->delay($rings[$n]);
    return 'ok';
  }
  if ($op eq 'delay_set') {
    my $after = landing($nominal, $k);
    my $id = $kernel->delay_set($rings[$n], $after, token());
    push @timers, { id => $id, due => $nominal + $after, ticks => $ticks };
    return 'ok';
  }
  if ($op =~ /^alarm(_add)?$/) {
    $kernel->$op($rings[$n], 1000.5 + POSIX::floor($nominal) + $k, token());
    return 'ok';
  }
  if ($op eq 'alarm_set') {
    my $due = 0.5 + POSIX::floor($nominal) + $k;
    my $id = $kernel->alarm_set($rings[$n], 1000 + $due, token());
    push @timers, { id => $id, due => $due };
    return 'ok';
  }
  if ($op eq 'alarm_adjust') {
    my $timer = timer($n) or return '-';
    my $by = $k;
    # One that was set by a delay stays in the second; behind all that are due then, as exact ones are.
    $by = landing($timer->{due}, $k) if exists $timer->{ticks};
    return '-' if !exists $timer->{ticks} && $timer->{due} + $by == $nominal;
    # The clock has gone on since the generation began, also where nothing has looked at it.
    my $behind = exists $timer->{ticks} && $k != 0 ? (++$ticks - $timer->{ticks}) / (1 << 20) : 0;
    $! = 0;
    my $due = $kernel->alarm_adjust($timer->{id}, $by + $behind);
    return errno($!) unless defined $due;
    $timer->{due} += $by;
    $timer->{ticks} = $ticks if exists $timer->{ticks} && $k != 0;
    return halves($due - 1000);
  }
  if ($op eq 'delay_adjust') {
    my $timer = timer($n) or return '-';
    my $after = landing($nominal, $k);
    # To the time that it has it would move with a clock that goes on, and stay with one that stands.
    return '-' if $nominal + $after == $timer->{due};
    # D2: it does not say why.
    my $due = $kernel->delay_adjust($timer->{id}, $after);
    return 'refused' unless defined $due;
    @$timer{qw(due ticks)} = ($nominal + $after, $ticks);
    return halves($due - 1000);
  }
  if ($op eq 'alarm_remove') {
    my $timer = timer($n) or return '-';
    $! = 0;
    my ($name, $due, $args) = $kernel->alarm_remove($timer->{id});
    return errno($!) unless defined $name;
    return join ' ', $name, halves($due - 1000), @$args;
  }
  if ($op eq 'alarm_remove_all') {
    # D3: names and arguments, without the times.
    return join ' ', 'removed', map { ($_->[0], $_->[2]) } $kernel->alarm_remove_all;
  }

  if ($op eq 'postback') {
    push @{ $heap->{backs} }, $me->postback(back => token());
    return 'ok';
  }
  if ($op eq 'callback') {
    # D7: a machine's holds nothing.
    return '-' if $me->isa('POE::NFA');
    push @{ $heap->{backs} }, [ $me->callback(backed => token()) ];
    return 'ok';
  }
  if ($op eq 'give') {
    my $to = who($n);
    return told_of(scalar $kernel->post($to, given => $me->postback(back => token())), 'gone');
  }
  return '-' if $firing && $op =~ /^(fire|let_go|weaken)$/;
  if ($op eq 'fire') {
    local $firing = 1;
    my $before = $stops;
    my @backs = @{ $heap->{backs} };
    my @results;
    for my $back (@backs) {
      last if $stops != $before;
      if (ref $back eq 'ARRAY') {
        push @results, $back->[0]->(token()) // 'nothing';
      }
      else {
        $back->(token());
        push @results, 'ok';
      }
    }
    return join ' ', 'fired', @results;
  }
  if ($op eq 'let_go') {
    my $backs = $heap->{backs};
    splice @$backs, $n % @$backs, 1 if @$backs;
    return 'ok';
  }
  if ($op eq 'weaken') {
    # D7: a machine's has no such method.
    my $back = $heap->{backs}[-1];
    my $callable = ref $back eq 'ARRAY' ? $back->[0] : $back;
    $callable->weaken if $callable && $callable->can('weaken') && !$callable->isa('POE::NFA::Postback');
    return 'ok';
  }

  if ($op eq 'detach_myself') {
    $! = 0;
    return $kernel->detach_myself ? 'ok' : errno($!);
  }
  if ($op eq 'detach_child') {
    $! = 0;
    return $kernel->detach_child(who($n)) ? 'ok' : $! == POSIX::EPERM() ? 'not permitted' : 'gone';
  }

  return do { $kernel->sig($signals[$n], 'heard', token()); 'ok' } if $op eq 'watch';
  return do { $kernel->sig($signals[$n]); 'ok' } if $op eq 'ignore';
  # By the time that sessions are stopped it is too late, but POE looks again.
  return '-' if $op eq 'handled' && $in_life;
  return do { $kernel->sig_handled; 'ok' } if $op eq 'handled';
  return do { $kernel->state('told'); 'ok' } if $op eq 'mute';
  return do { $kernel->state(told => \&unmuted); 'ok' } if $op eq 'unmute';
  if ($op eq 'stop') {
    # D18: it would go on with watchers that are dead, or with sessions that it stops already.
    return '-' if $in_signal || $in_stop;
    $stops++;
    $kernel->stop;
    return 'ok';
  }
  if ($op eq 'die' || $op eq 'panic') {
    say_line '  ', $me->ID, " $op: thrown";
    die 'on purpose ', token(), "\n";
  }

  return '-' unless $me->isa('POE::NFA');
  # With us that is a failure.
  return '-' if $in_leave && $me->option('immediate') && $op ne 'quit';
  if ($op eq 'goto') {
    $me->goto_state($states[$n], 'entered', token());
    return 'ok';
  }
  if ($op eq 'push') {
    $me->call_state('told_back', $states[$n], 'entered', token());
    return 'ok';
  }
  if ($op eq 'pop') {
    $me->return_state(token());
    return 'ok';
  }
  if ($op eq 'quit') {
    $me->stop;
    return 'ok';
  }
  die "no such action: $op";
}

sub called {
  my $result = $kernel->call(shift, asked => token());
  return $result // 'nothing';
}

sub play {
  my ($rounds, $batches) = @_;
  @script = @$batches;
  (@sessions, @timers) = ();
  ($tokens, $in_signal, $in_stop, $in_life, $in_leave, $firing, $spawning, $stops, $die_sent) = (0) x 9;
  for my $round (0 .. $#$rounds) {
    say_line "round $round";
    perform($kernel, {}, $rounds->[$round]);
    my $ok = ran();
    $nominal = ($round + 1) * ROUND;
    # What a slice that failed has left is another matter.
    last if !$ok && $in_slices;
  }
  say_line 'stop';
  $kernel->stop;
  ran();
}

# Slice after slice to the end of a run; says where each ended that did something.
sub slices {
  my $goes_on = 1;
  # A machine that is told of IDLE is told in each slice, for ever.
  for (my $slices = 0; $goes_on; $slices++) {
    if ($slices == SLICES) {
      say_line 'and so on';
      return;
    }
    my $before = $said;
    my $ok = eval { $goes_on = $kernel->run_one_timeslice; 1 };
    my $error = $@;
    say_line 'slice' if $said > $before;
    next if $ok;
    # The kernel begins anew with the slice that finds no session.
    eval { $kernel->run_one_timeslice } unless $kernel->_data_ses_count;
    die $error;
  }
}

sub ran {
  my $ok = 1;
  if (eval { $in_slices ? slices() : $kernel->run; 1 }) {
    say_line 'run returned';
  }
  elsif (ref $@ && $@ == \$stuck) {
    say_line 'nothing more happens';
  }
  else {
    $ok = 0;
    # POE does not survive each session that is created while the kernel ends.
    say_line "Perl failed: $@" if $@ =~ /please report this stacktrace/;
    say_line 'run failed: ', failure($@);
  }
  say_line join ' ', 'alive', grep { exists_id($_) } @sessions;
  return $ok;
}

$| = 1;
my (@rounds, @batches, $into);
while (my $line = <STDIN>) {
  chomp $line;
  if ($line eq 'round')    { push @rounds,  $into = [] }
  elsif ($line eq 'batch') { push @batches, $into = [] }
  elsif ($line eq 'slices') { $in_slices = 1 }
  elsif ($line eq 'uncaught') { }
  elsif ($line eq 'end') {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
      $| = 0;
      $SIG{__WARN__} = sub { };
      $kernel->has_forked;
      # Where POE never ends it works or waits. The work is counted, since other programs may have the processor. (SIGPROF and
      # SIGALRM are not the program's.)
      Time::HiRes::setitimer(Time::HiRes::ITIMER_PROF(), 1);
      alarm 60;
      eval { play(\@rounds, \@batches); 1 } or say_line "Perl failed: $@";
      close STDOUT;
      POSIX::_exit(0);
    }
    waitpid $pid, 0;
    print "Perl ended: $?\n" if $?;
    print ".\n";
    (@rounds, @batches) = ();
    $in_slices = 0;
  }
  else { push @$into, $line }
}
