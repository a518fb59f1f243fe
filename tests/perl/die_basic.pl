# Exceptions.
# Laws: L66 (DIE is queued behind what waits, the record), L67 (descendants, the session
# itself, its ancestors; no siblings), L69 (unhandled: all stop, run throws, a later run
# works, the first of two errors wins), L71 (DIE sent by hand).
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

# A session that waits 20 ms, or `life` seconds. Options: watch => true (of DIE), handle =>
# true, kids => code, and handlers.
sub session {
  my ($name, %o) = @_;
  my ($watch, $handle, $kids) = delete @o{qw(watch handle kids)};
  my $start = delete $o{_start} || sub { };
  my $life  = delete $o{life} || 0.02;
  return POE::Session->create(
    inline_states => {
      _start => sub {
        $name{ $_[SESSION]->ID } = $name;
        $_[KERNEL]->alias_set($name);
        $_[KERNEL]->sig(DIE => 'died', 'own') if $watch || $handle;
        $_[KERNEL]->delay(bye => $life);
        $kids->() if $kids;
        $start->(@_);
        "$name started";
      },
      boom => sub { die "boom in $name\n" },
      died => sub {
        out "$name hears $_[ARG0] of ", nm($_[ARG1]{dest_session}), " ($_[ARG2])";
        $_[KERNEL]->sig_handled if $handle;
      },
      bye     => sub { out "$name leaves"; $_[KERNEL]->alias_remove($name) },
      _child  => sub { },
      _parent => sub { out "$name _parent ", nm($_[ARG0]), " to ", nm($_[ARG1]) },
      _stop   => sub { out "$name _stop, sender ", nm($_[SENDER]) },
      %o,
    },
  );
}

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw ", map { s/\n$//r } $@ }
}

sub record {
  my ($what, $info) = @_[0, 1];
  out "$what: event $info->{event}, dest ", nm($info->{dest_session}), ", source ",
    nm($info->{source_session}), ", from state ", $info->{from_state} // 'undef', ", error ",
    ref $info->{error_str} ? "code $info->{error_str}{code}" : $info->{error_str} =~ s/\n$//r;
}

out "== the record";
{
  my $line;
  session(
    'other',
    life   => 0.03,
    _start => sub { $_[KERNEL]->yield('go') },
    go     => sub { $_[KERNEL]->post(S => 'posted') },
  );
  session(
    'S',
    life   => 0.09,
    _start => sub {
      my $k = $_[KERNEL];
      $k->sig(DIE => 'record');
      $k->yield('yielded'); $line = __LINE__;
      $k->yield('value');
      $k->delay(timer => 0.01);
      session('child', life => 0.06);
    },
    yielded => sub { die "a yield\n" },
    posted  => sub { die "a post\n" },
    timer   => sub { die "a timer\n" },
    value   => sub { die { code => 7 } },
    _child  => sub { die "a child\n" if $_[ARG0] eq 'lose' },
    record  => sub {
      my $info = $_[ARG1];
      record("$_[ARG0] from " . nm($_[SENDER]), $info);
      out "at the line of the yield: ", ($info->{line} == $line ? 'yes' : 'no')
        if $info->{event} eq 'yielded';
      $_[KERNEL]->sig_handled;
    },
  );
}
run();

out "== what is queued comes first";
session(
  'S',
  handle => 1,
  _start => sub { $_[KERNEL]->yield('boom'); $_[KERNEL]->yield(event => 1) },
  event  => sub { out "event $_[ARG0]" },
  boom   => sub {
    $_[KERNEL]->yield(event => 2);
    die "boom\n";
  },
);
run();

out "== handled: all go on";
session('S', handle => 1, _start => sub { $_[KERNEL]->yield('boom') });
run();

# P(C(D)) with E beside C, and Q beside P; C throws.
sub family {
  my %o = @_;
  session('P', %{ $o{P} || {} }, kids => sub {
    session('C', %{ $o{C} || {} }, kids => sub { session('D', %{ $o{D} || {} }) });
    session('E', %{ $o{E} || {} }) if $o{E};
  });
  session('Q', %{ $o{Q} || {} }) if $o{Q};
  $poe_kernel->post(C => 'boom');
}

my @quiet = (bye => sub { $_[KERNEL]->alias_remove($name{ $_[SESSION]->ID }) }, _stop => sub { });

out "== who hears it: descendants, itself, ancestors; neither siblings nor others";
family(
  P => { handle => 1, @quiet },
  map { $_ => { watch => 1, @quiet } } qw(C D E Q),
);
run();

for my $who (qw(D C P)) {
  out "== handled by $who: nobody stops";
  family(map { $_ => { @quiet, watch => 1, handle => $who eq $_ } } qw(P C D));
  run();
}

out "== not handled: those who heard it stop first, then the others, and run throws";
family(P => { watch => 1 }, C => { watch => 1 }, D => { watch => 1 });
session('Q', watch => 1);
run();

out "== not watched at all";
family();
session('Q', _start => sub { $_[KERNEL]->yield('before') }, before => sub { out "Q before" });
run();

out "== a sibling is handed to the kernel before it stops";
family(E => {});
run();

out "== after that a new run works";
session('S', _start => sub { $_[KERNEL]->yield('fine') }, fine => sub { out "fine" });
run();

out "== of two errors the first one counts";
session('one', _start => sub { $_[KERNEL]->yield('boom') });
session('two', _start => sub { $_[KERNEL]->yield('boom') });
run();

out "== sent by hand, with a record, without, and to whom";
session('S', watch => 0);
$poe_kernel->signal(S => 'DIE', { error_str => "by hand\n" });
run();
{
  local $SIG{__WARN__} = sub { };    # the missing text
  session('S');
  $poe_kernel->signal(S => 'DIE');
  run();
}
session('P', @quiet, kids => sub {
  session('C', @quiet, _start => sub { $_[KERNEL]->sig(DIE => 'heard') }, heard => sub { out "C hears (@_[ARG0, ARG1])" });
}, _start => sub { $_[KERNEL]->sig(DIE => 'heard') }, heard => sub {
  out "P hears (@_[ARG0, ARG1])";
  $_[KERNEL]->sig_handled;
});
$poe_kernel->signal(C => 'DIE', 'anything');
run();
