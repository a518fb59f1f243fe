# Plays the random programs of tests/differential/io under Perl's POE: wheels, sockets, pipes, watched files, children.
#
# Standard input holds programs (tests/differential/io/program.rs describes them), standard output their transcripts, each
# ended by a line `.`. Each is played in a process of its own.
#
# A step is taken when nothing more can happen: no descriptor is ready and no event is due. Everything else is POE's own,
# but for the order of descriptors that are ready at once, which POE takes from a hash.
use strict;
use warnings;
use B ();
use POSIX ();
use Errno ();
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use File::Temp ();
use Time::HiRes ();

BEGIN { $ENV{POE_USE_POSIXRT} = 0 }

use POE qw(Session Wheel::ReadWrite Wheel::SocketFactory Wheel::Run Filter::Line Filter::Stream Filter::Block);

# A lexical that a subroutine of POE's has in its pad.
sub lexical {
  my ($sub, $wanted) = @_;
  my ($names, $values) = B::svref_2object($sub)->PADLIST->ARRAY;
  my @names = $names->ARRAY;
  my @values = $values->ARRAY;
  for my $i (0 .. $#names) {
    next unless ref $names[$i] && $names[$i]->can('PV') && ($names[$i]->PV // '') eq $wanted;
    return $values[$i]->object_2svref;
  }
  die "no $wanted";
}

my $kernel = $poe_kernel;
my (@steps, @reactions, %logs, @ends, @listeners, $in_flight, $guard, $folder, $tcp, $many, $cut, $reacted, $quiet, $step);
my $waits = 0;
my @programs = (
  'cat', 'exit 3', 'echo one; echo two', 'echo bad >&2; echo good; exit 1', 'kill -9 $$', 'read x; echo got $x',
  'cat; echo done >&2',
);

{
  no warnings 'redefine';
  my $vectors = lexical(\&POE::Kernel::loop_do_timeslice, '@loop_vectors');
  *POE::Kernel::loop_do_timeslice = sub {
    my $self = shift;
    $self->_test_if_kernel_is_idle;
    my $hits = select my $rout = $vectors->[0], my $wout = $vectors->[1], undef, 0;
    my $busy = $hits > 0;
    if ($busy) {
      for my $ready ([ 0, $rout ], [ 1, $wout ]) {
        my ($mode, $bits) = @$ready;
        my @those = grep { vec $bits, $_, 1 } 0 .. 8 * length($bits) - 1;
        $self->_data_handle_enqueue_ready($mode, @those) if @those;
      }
    }
    my $next = $self->get_next_event_time;
    $busy = 1 if defined $next && $next <= POE::Kernel::monotime();
    $self->_data_ev_dispatch_due;
    if ($busy) {
      $quiet = $tcp ? 3 : 1;
    }
    elsif ($in_flight) {
      select undef, undef, undef, 0.0002;
      # POE does not hear of a child that exits between its first look for ended children and setting the handler of SIGCHLD.
      $self->_data_sig_enqueue_poll_event('CHLD') unless ++$waits % 1000;
    }
    elsif (--$quiet > 0) {
      select undef, undef, undef, 0.0001;
    }
    else {
      $quiet = $tcp ? 3 : 1;
      next_step();
    }
  };
}

sub say_of { my ($who, $line) = @_; push @{ $logs{$who} }, $line }

# A wheel of POE's that goes with unread input resets its peer; ours reads the input away, so the peer sees the end (a listed deviation).
sub errnum { my ($operation, $errnum) = @_; $operation eq 'read' && $errnum == Errno::ECONNRESET ? 0 : $errnum + 0 }

sub of_end { my ($end, $part, $line) = @_; say_of(sprintf('%02d%s', $end->{number}, $part && " $part"), $line) }

sub new_end {
  my ($class, $wide, $kind) = @_;
  push @ends, { class => $class, wide => $wide, kind => $kind, filter => substr($kind, 0, 1), number => scalar @ends,
    input => 'input' };
  return $ends[-1];
}

sub filter {
  my $letter = shift;
  return POE::Filter::Stream->new if $letter eq 's';
  return POE::Filter::Block->new if $letter eq 'b';
  return POE::Filter::Block->new(BlockSize => 5) if $letter eq 'f';
  return POE::Filter::Line->new(Literal => "\n");
}

# A session for an end; $start is what it does first.
sub session {
  my ($end, $start, %more) = @_;
  my $say = sub { of_end($end, '', shift) };
  my $session = POE::Session->create(
    inline_states => {
      _start  => sub { $end->{session} = $_[SESSION]->ID; $start->() },
      # What the session has goes with it.
      _stop   => sub { $say->('_stop'); delete @$end{qw(wheel factory reader writer run)} },
      do      => sub {
        for my $line (@{ $_[ARG0] }) {
          action($end, $line);
          last if is_flushed($end, $line);
        }
      },
      input   => sub { came($end, 'input', $_[ARG0]) },
      other   => sub { came($end, 'other', $_[ARG0]) },
      flushed => sub {
        unflushed($end);
        push @{ $logs{ sprintf '%02d writes', $end->{number} } }, 'flushed now';
      },
      error   => sub {
        of_end($end, $_[ARG0] eq 'write' ? 'writes' : '', "error $_[ARG0] " . errnum(@_[ARG0, ARG1]));
        $end->{ $_[ARG0] eq 'write' ? 'failed' : 'silent' } = 1;
        $end->{wants_close} = 1 if $end->{kind} =~ /c/;
      },
      connected => sub { connected($end, $_[ARG0]) },
      failed    => sub { $say->("failed $_[ARG0] " . ($_[ARG1] + 0)); delete $end->{factory} },
      ready     => sub { ready($end) },
      %more,
    },
  );
  return;
}

sub wheel {
  my ($end, @handles) = @_;
  my $kind = $end->{kind};
  setsockopt $handles[1], IPPROTO_TCP, TCP_NODELAY, 1 if $kind =~ /T/;
  my $wheel = $end->{wheel} = POE::Wheel::ReadWrite->new(
    @handles,
    Filter     => filter($end->{filter}),
    InputEvent => 'input',
    ErrorEvent => 'error',
    $kind =~ /m/ ? (HighMark => 2000, LowMark => 500, LowEvent => 'nobody_hears') : (),
    $kind =~ /a/ ? (AutoFlush => 1) : $kind =~ /n/ ? () : (FlushedEvent => 'flushed'),
  );
  if ($kind =~ /p/) {
    $end->{silent} = 1;
    $wheel->pause_input;
  }
}

sub came {
  my ($end, $event, $record) = @_;
  (my $text = $record) =~ tr{\n\0}{/_};
  my $is_stream = $end->{filter} eq 's';
  of_end($end, '', $is_stream ? "stream $text" : "$event $text");
  # One digit: of a number that is too long Perl would make the index of the last one.
  return if $is_stream || $text !~ /^r(\d)$/;
  my $lines = $reactions[$1] or return;
  # Once for each end, so that a program ends.
  return if $end->{reacted}{$1}++;
  $reacted = 1;
  local $end->{reacting} = 1;
  for my $line (@$lines) {
    if ($line eq 'close') {
      $end->{wants_close} = 1;
      of_end($end, '', '  react close: later');
    }
    else {
      action($end, $line);
      last if is_flushed($end, $line);
    }
  }
  return;
}

# Of an error a wheel that flushes by itself tells at once, with us after the handler.
sub is_flushed { my ($end, $line) = @_; $end->{kind} =~ /a/ && $line =~ /^(put|many)/ }

sub action {
  my ($end, $line) = @_;
  my ($name, @args) = split / /, $line;
  my $told = sub { of_end($end, '', "  $end->{number} $line: $_[0]") };
  my $is_there = $end->{wheel} || $end->{factory} || $end->{reader} || $end->{writer} || $end->{run};
  my $told_before = $name =~ /^(flush|filter|in_filter|close)$/;
  $told->('ok') if $told_before && $is_there;
  my $result = '-';
  if ($name eq 'close') {
    $cut ||= $end->{wheel} && $end->{wheel}->get_driver_out_messages > 20;
    $kernel->select_read($end->{reader}) if $end->{reader};
    $kernel->select_write($end->{writer}) if $end->{writer};
    delete @$end{qw(wheel factory reader writer run)};
  }
  elsif ($end->{wheel}) { $result = wheel_action($end, $name, @args) }
  elsif (my $factory = $end->{factory}) {
    $result = $name eq 'accept_pause' ? do { $factory->pause_accept; 'ok' }
      : $name eq 'accept_resume' ? do { $factory->resume_accept; 'ok' }
      : '-';
  }
  elsif (my $reader = $end->{reader}) {
    $result = 'ok';
    if    ($name eq 'sel_pause')  { $kernel->select_pause_read($reader) }
    elsif ($name eq 'sel_resume') { $kernel->select_resume_read($reader) }
    elsif ($name eq 'sel_again')  { $kernel->select_read($reader, 'ready') }
    else                          { $result = '-' }
  }
  elsif (my $writer = $end->{writer}) {
    $result = 'ok';
    if ($name eq 'write') {
      my $size = $args[0] > 36 ? 36 : $args[0];
      my $done = syswrite $writer, 'abcdefghijklmnopqrstuvwxyz0123456789', $size;
      $result = $! + 0 unless defined $done;
    }
    elsif ($name eq 'sel_pause')  { $kernel->select_pause_write($writer) }
    elsif ($name eq 'sel_resume') { $kernel->select_resume_write($writer) }
    else                          { $result = '-' }
  }
  $told->($result) if !$told_before || !$is_there && $name ne 'close';
  return;
}

# Where ends react to each other, how often all is written depends on whose turn it is when: only the last time counts, after the last put.
sub unflushed {
  my $end = shift;
  my $part = sprintf '%02d writes', $end->{number};
  return unless $reacted && $logs{$part};
  @{ $logs{$part} } = grep { $_ ne 'flushed now' } @{ $logs{$part} };
  delete $logs{$part} unless @{ $logs{$part} };
}

sub wheel_action {
  my ($end, $name, $word, $count) = @_;
  my $wheel = $end->{wheel};
  my $put = sub { my $text = shift; unflushed($end); $text .= "\n" if $end->{filter} eq 's'; $wheel->put($text) };
  return '-' if $name =~ /^(put|many|bytes|flush)$/ && ($end->{shut} || $end->{failed} && !$end->{reacting});
  return '-' if $name eq 'flush' && $end->{failed};
  # A pipe would stay open.
  return '-' if $name =~ /^shut_/ && $end->{kind} =~ /P/;
  # Of a peer that reads no more `select` does not tell one whose buffer is full.
  return '-' if $name eq 'shut_in' && $many;
  # Which of several writes to a peer that is gone fails depends on when it tells so.
  return '-' if $name eq 'put' && $end->{silent} && $end->{kind} =~ /T/;
  # It would be watched again where it is shut, or paused (Q18).
  return '-' if $name =~ /^flushed_/ && ($end->{shut} || $end->{failed}) || $name eq 'input_to' && $end->{silent};
  if ($name eq 'put') {
    my $result = 'put';
    for (1 .. $count) {
      my $level = $put->($word) ? ' high' : ' low';
      # After an error it is refused with us (Q29).
      $result .= $level unless $end->{kind} =~ /a/ || $end->{reacting};
    }
    return $result;
  }
  if ($name eq 'many') {
    # It forgets to go on with what it could not write at once, if it flushes by itself.
    return '-' if !$end->{wide} || $end->{kind} =~ /a/;
    $many = 1;
    $put->('0123456789' x 300) for 1 .. 100;
    return 'ok';
  }
  if    ($name eq 'pause')    { $end->{silent} = 1; $wheel->pause_input }
  elsif ($name eq 'resume')   { $wheel->resume_input }
  elsif ($name eq 'shut_in')  { @$end{qw(silent in_shut)} = (1, 1); $wheel->shutdown_input }
  elsif ($name eq 'shut_out') {
    # How much of what still waits the system has taken depends on how it was given.
    $cut ||= $wheel->get_driver_out_messages > 20;
    $end->{shut} = 1;
    $wheel->shutdown_output;
  }
  elsif ($name =~ /filter$/) {
    # What waits in the filter of an input that was shut is dropped with us.
    return '-' if $end->{filter} eq 'b' || $end->{in_shut};
    $end->{filter} = $word unless $name eq 'out_filter';
    my $set = $name eq 'filter' ? 'set_filter' : $name eq 'in_filter' ? 'set_input_filter' : 'set_output_filter';
    $wheel->$set(filter($word));
  }
  elsif ($name eq 'flush')       { $wheel->flush }
  elsif ($name eq 'flushed_off') { $wheel->event(FlushedEvent => undef) }
  elsif ($name eq 'flushed_on') {
    return '-' if $end->{kind} =~ /a/;
    $wheel->event(FlushedEvent => 'flushed');
  }
  elsif ($name eq 'input_to') { $wheel->event(InputEvent => $word ? 'other' : 'input') }
  # How much the system takes at once depends on how it is given.
  elsif ($name eq 'bytes' && $wheel->get_driver_out_messages > 20) { return 'many' }
  elsif ($name eq 'bytes')   { return join ' ', $wheel->get_driver_out_octets, $wheel->get_driver_out_messages }
  else                        { return '-' }
  return 'ok';
}

sub connected {
  my ($end, $socket) = @_;
  if ($end->{class} ne 'listener') {
    of_end($end, '', 'connected');
    delete $end->{factory};
    wheel($end, Handle => $socket);
    return;
  }
  my ($listener) = grep { $_->{end} == $end } @listeners;
  my $next = shift @{ $listener->{coming} } or return of_end($end, '', 'accepted nobody');
  of_end($end, '', "accepted $next->{number}");
  session($next, sub { wheel($next, Handle => $socket) });
}

sub ready {
  my $end = shift;
  if (my $reader = $end->{reader}) {
    my $done = sysread $reader, my $bytes, 10;
    if    (!defined $done) { of_end($end, '', 'read failed ' . ($! + 0)) }
    elsif ($done)          { of_end($end, '', "read $bytes") }
    else {
      of_end($end, '', 'read the end');
      $kernel->select_read($reader);
      delete $end->{reader};
    }
    return;
  }
  of_end($end, '', 'writable');
  $kernel->select_pause_write($end->{writer});
}

sub told {
  my $end = shift;
  $in_flight--;
  delete $end->{run} unless --$end->{awaited};
  return;
}

sub runner {
  my ($end, $start) = @_;
  session(
    $end, $start,
    flushed => sub { of_end($end, 'in', 'flushed'); $end->{run}->shutdown_stdin if $end->{run} },
    out     => sub { of_end($end, 'out', $_[ARG0]) },
    err     => sub { of_end($end, 'err', $_[ARG0]) },
    run_error => sub {
      of_end($end, { STDIN => 'in', STDOUT => 'out', STDERR => 'err' }->{ $_[ARG4] }, "error $_[ARG0] " . errnum(@_[ARG0, ARG1]));
    },
    closed => sub { of_end($end, $_, 'closed') for qw(out err); told($end) },
    exited => sub { of_end($end, 'exit', $_[ARG2]); told($end) },
  );
}

sub run {
  my ($end, $which, $lines) = @_;
  $lines = 0 unless $which == 0 || $which == 6;
  $lines = 1 if $which == 5;
  my $run = $end->{run} = POE::Wheel::Run->new(
    Program => [ 'sh', '-c', $programs[$which] ],
    (map { $_ => filter('l') } qw(StdinFilter StdoutFilter StderrFilter)),
    StdoutEvent => 'out',
    StderrEvent => 'err',
    ErrorEvent  => 'run_error',
    CloseEvent  => 'closed',
    $lines ? (StdinEvent => 'flushed') : (),
  );
  $kernel->sig_child($run->PID, 'exited');
  $run->put("line $_") for 0 .. $lines - 1;
  $run->shutdown_stdin unless $lines;
  $end->{awaited} = 2;
  $in_flight += 2;
}

sub listen_at {
  my ($end, $address) = @_;
  $end->{factory} = POE::Wheel::SocketFactory->new(
    ref $address
    ? (BindAddress => '127.0.0.1', BindPort => $$address, Reuse => 1)
    : (SocketDomain => AF_UNIX, BindAddress => $address),
    SuccessEvent => 'connected',
    FailureEvent => 'failed',
  );
}

sub connect_to {
  my ($end, $address) = @_;
  $end->{factory} = POE::Wheel::SocketFactory->new(
    ref $address
    ? (RemoteAddress => '127.0.0.1', RemotePort => $$address)
    : (SocketDomain => AF_UNIX, RemoteAddress => $address),
    SuccessEvent => 'connected',
    FailureEvent => 'failed',
  );
}

# Something new, outside of any session.
sub act_by_line {
  my ($op, @args) = split / /, shift;
  if ($op eq 'socketpair') {
    socketpair my $one, my $other, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    pair(@args, [ Handle => $one ], [ Handle => $other ]);
  }
  elsif ($op eq 'pipes') {
    pipe my $r1, my $w1 or die "pipe: $!";
    pipe my $r2, my $w2 or die "pipe: $!";
    pair((map { "${_}P" } @args), [ InputHandle => $r1, OutputHandle => $w2 ], [ InputHandle => $r2, OutputHandle => $w1 ]);
  }
  elsif ($op eq 'listen') {
    $tcp = 1 if $args[0] eq 'tcp';
    my $address = $args[0] eq 'tcp' ? \my $port : "$folder/" . @ends;
    $port = 0 if ref $address;
    my $end = new_end('listener', 0, 'l');
    session($end, sub {
      listen_at($end, $address);
      $$address = (unpack_sockaddr_in($end->{factory}->getsockname))[0] if ref $address;
    });
    push @listeners, { end => $end, address => $address, coming => [] };
  }
  elsif ($op eq 'taken' || $op eq 'connect') {
    return '-' unless @listeners;
    my $listener = $listeners[ $args[0] % @listeners ];
    my $address = $listener->{address};
    if ($op eq 'taken') {
      my $end = new_end('other', 0, 'l');
      session($end, sub { listen_at($end, $address) });
      return 'ok';
    }
    my $wide = !ref $address && "$args[1] $args[2]" !~ /\bf/;
    my $kind = ref $address ? 'T' : '';
    my $client = new_end('wheel', $wide, $args[1] . $kind);
    push @{ $listener->{coming} }, new_end('wheel', $wide, $args[2] . $kind);
    session($client, sub { connect_to($client, $address) });
  }
  elsif ($op eq 'nobody') {
    my $port = 1;
    my $address = $args[0] eq 'tcp' ? \$port : "$folder/nobody";
    my $end = new_end('other', 0, 'l');
    session($end, sub { connect_to($end, $address) });
  }
  elsif ($op eq 'watch') {
    pipe my $r, my $w or die "pipe: $!";
    my ($reader, $writer) = (new_end('reader', 0, 'l'), new_end('writer', 0, 'l'));
    session($reader, sub { $reader->{reader} = $r; $kernel->select_read($r, 'ready') });
    session($writer, sub { $writer->{writer} = $w; $kernel->select_write($w, 'ready') });
  }
  elsif ($op eq 'run') {
    my $end = new_end('other', 0, 'l');
    runner($end, sub { run($end, $args[0] % @programs, $args[1]) });
  }
  elsif ($op eq 'child') {
    my $end = new_end('other', 0, 'l');
    runner($end, sub {
      my $pid = fork // die "fork: $!";
      if (!$pid) {
        { exec 'sh', '-c', "exit $args[0]" }
        POSIX::_exit(127);
      }
      $kernel->sig_child($pid, 'exited');
      $end->{awaited} = 1;
      $in_flight++;
    });
  }
  else { return '-' }
  return 'ok';
}

sub pair {
  my ($kind, $other_kind, $one, $other) = @_;
  my $wide = "$kind $other_kind" !~ /\bf/;
  my @both = map { new_end('wheel', $wide, $_) } $kind, $other_kind;
  for my $n (0, 1) {
    my ($end, $handles) = ($both[$n], ($one, $other)[$n]);
    session($end, sub { wheel($end, @$handles) });
  }
}

sub find {
  my (undef, $class, $which) = split / /, shift;
  my @those = grep { $_->{class} eq $class } @ends;
  return @those ? $those[ $which % @those ] : undef;
}

sub tell_end {
  my ($end, @lines) = @_;
  of_end($end, '', 'gone') unless $end->{session} && $kernel->post($end->{session}, do => \@lines);
}

sub is_alive { my $end = shift; defined $end->{session} && defined $kernel->ID_id_to_session($end->{session}) }

# Nothing happens any more.
sub next_step {
  my @closing = grep { delete $_->{wants_close} } @ends;
  return map { tell_end($_, 'close') } @closing if @closing;
  $reacted = 0;
  for my $log (values %logs) { s/^flushed now$/flushed/ for @$log }
  my $lines = $steps[ $step++ ];
  if ($lines) {
    my ($target, @rest);
    for my $line (@$lines) {
      if    ($line =~ /^at /) { $target = [ find($line) ] }
      elsif ($target)         { push @rest, $line }
      else                    { say_of('main', "  main $line: " . act_by_line($line)) }
    }
    if    ($target && $target->[0]) { tell_end($target->[0], @rest) }
    elsif ($target)                 { say_of('main', 'nobody') }
  }
  elsif ($step == @steps + 1) {
    say_of('main', join ' ', 'alive', map { $_->{number} } grep { is_alive($_) } @ends);
    $kernel->post($guard, 'leave');
  }
  else {
    say_of('main', 'stop');
    $kernel->stop;
  }
}

sub short {
  my $line = shift;
  return $line if length $line <= 300;
  my $begin = substr $line, 0, 30;
  return "$begin ..." if $cut;
  my $sum = 0;
  $sum = ($sum * 31 + $_) % 1_000_003 for unpack 'C*', $line;
  return "$begin ... " . length($line) . " $sum";
}

sub play {
  $folder = File::Temp::tempdir('poe-io-XXXXXX', TMPDIR => 1);
  ($in_flight, $step, $quiet) = (0, 0, 1);
  $guard = POE::Session->create(
    inline_states => {
      _start => sub { $kernel->delay(for_ever => 1_000_000) },
      leave  => sub { $kernel->alarm_remove_all },
    },
  )->ID;
  eval { $kernel->run; 1 } or say_of('main', "run failed: $@");
  say_of('main', 'run returned');
  for my $who (sort keys %logs) {
    print "end $who\n";
    my @lines = @{ $logs{$who} };
    while (defined(my $line = shift @lines)) {
      if ($line =~ /^stream /) {
        $line .= substr shift @lines, 7 while @lines && $lines[0] =~ /^stream /;
        print short($line), "\n";
        next;
      }
      my $times = 1;
      $times++, shift @lines while @lines && $lines[0] eq $line;
      my $counts = $times > 1 && !($cut && length $line > 300);
      print short($line), $counts ? " times $times" : '', "\n";
    }
  }
  system 'rm', '-rf', $folder;
}

$| = 1;
my $into;
while (my $line = <STDIN>) {
  chomp $line;
  if    ($line eq 'io')    { }
  elsif ($line eq 'step')  { push @steps,     $into = [] }
  elsif ($line eq 'react') { push @reactions, $into = [] }
  elsif ($line eq 'end') {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
      $| = 0;
      $SIG{__WARN__} = sub { };
      $kernel->has_forked;
      # Where POE never ends it works or waits. The work is counted, since other programs may have the processor.
      Time::HiRes::setitimer(Time::HiRes::ITIMER_PROF(), 2);
      alarm 60;
      eval { play(); 1 } or print "Perl failed: $@\n";
      close STDOUT;
      POSIX::_exit(0);
    }
    waitpid $pid, 0;
    print "Perl ended: $?\n" if $?;
    print ".\n";
    (@steps, @reactions) = ();
  }
  else { push @$into, $line }
}
