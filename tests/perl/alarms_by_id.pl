# Timers by ID: setting, adjusting, removing, all of them at once, and the errors.
# Laws: 1.3; D2 and D3, where the Rust crate answers otherwise on purpose.
# A line that begins with [D2], [D3] or [type] belongs to such a place.
use strict;
use warnings;
use POE;
use Errno qw(EINVAL EPERM ESRCH);
use Time::HiRes qw(time);

$| = 1;
sub out { print @_, "\n" }

sub err {
  my $n = 0 + $!;
  return { 0 => 'none', EINVAL, 'EINVAL', EPERM, 'EPERM', ESRCH, 'ESRCH' }->{$n} || $n;
}

# The answer of one call: its value or undef, and the error that it left.
sub answer {
  my ($what, $code) = @_;
  $! = 0;
  my $value = $code->();
  my $error = err();
  out "$what: ", defined $value ? "$value" : "undef, error $error";
}

sub list { join ' ', map { ref $_ ? '[' . join(' ', @$_) . ']' : $_ } @_ }

use constant FAR => 4_000_000_000;    # an epoch that this test will not see

my $foreign;

POE::Session->create(
  inline_states => {
    _start => sub {
      $foreign = $_[KERNEL]->alarm_set(never => FAR);
      $_[KERNEL]->alias_set('owner');
    },
    never  => sub { out "never!" },
    let_go => sub {
      my @gone = $_[KERNEL]->alarm_remove($foreign);
      out "the owner removes its own: ", list(@gone);
      $_[KERNEL]->alias_remove('owner');
    },
    _stop => sub { },
  },
);

POE::Session->create(
  inline_states => {
    _start => sub {
      my ($k, $heap) = @_[KERNEL, HEAP];

      out "== IDs";
      my @id = ($k->alarm_set(e => FAR), $k->delay_set(e => 1000), $k->alarm_set(e => FAR));
      out "positive: ", ((grep { $_ <= 0 } @id) ? 'no' : 'yes');
      out "growing: ", ($id[0] < $id[1] && $id[1] < $id[2] ? 'yes' : 'no');
      my @all = $k->alarm_remove_all;
      out "removed ", scalar @all;

      out "== removing";
      my $r = $k->alarm_set(r => FAR, 1, 2, 'three');
      out "list: ", list($k->alarm_remove($r));
      $r = $k->alarm_set(s => FAR);
      my $scalar = $k->alarm_remove($r);
      out "scalar: ", list(@$scalar);
      answer 'again', sub { $k->alarm_remove($r) };
      $r = $k->delay_set(t => 1000, 'x');
      my $now = time;
      my ($name, $epoch, $args) = $k->alarm_remove($r);
      out "a delay: $name ", (abs($epoch - $now - 1000) < 5 ? 'at now + 1000' : $epoch), ' ', list($args);

      out "== adjusting";
      my $a = $k->alarm_set(a => FAR);
      answer 'alarm_adjust +5',  sub { $k->alarm_adjust($a, 5) };
      answer 'alarm_adjust -7',  sub { $k->alarm_adjust($a, -7) };
      answer 'alarm_adjust 0',   sub { $k->alarm_adjust($a, 0) };
      $now = time;
      my $new = $k->delay_adjust($a, 500);
      out 'delay_adjust of an alarm: ', (abs($new - $now - 500) < 5 ? 'now + 500' : $new);
      my $d = $k->delay_set(d => 1000);
      $now = time;
      $new = $k->alarm_adjust($d, -100);
      out 'alarm_adjust of a delay: ', (abs($new - $now - 900) < 5 ? 'now + 900' : $new);
      $k->alarm_remove_all;

      out "== errors";
      answer 'alarm_remove of a foreign one', sub { $k->alarm_remove($foreign) };
      answer 'alarm_adjust of a foreign one', sub { $k->alarm_adjust($foreign, 1) };
      answer '[D2] delay_adjust of a foreign one', sub { $k->delay_adjust($foreign, 1) };
      my $gone = $k->alarm_set(gone => FAR);
      $k->alarm_remove($gone);
      answer 'alarm_remove of a removed one', sub { $k->alarm_remove($gone) };
      answer 'alarm_adjust of a removed one', sub { $k->alarm_adjust($gone, 1) };
      answer '[D2] delay_adjust of a removed one', sub { $k->delay_adjust($gone, 1) };
      answer '[type] alarm_set(undef, 1)',   sub { $k->alarm_set(undef, 1) };
      answer '[type] alarm_set(x, undef)',   sub { $k->alarm_set('x', undef) };
      answer '[type] delay_set(x, undef)',   sub { $k->delay_set('x', undef) };
      answer '[type] alarm_remove(undef)',   sub { $k->alarm_remove(undef) };
      answer '[type] alarm_adjust(undef, 1)', sub { $k->alarm_adjust(undef, 1) };
      answer '[type] delay_adjust(undef, 1)', sub { $k->delay_adjust(undef, 1) };

      out "== all at once, in due order";
      $k->alarm_set(third  => FAR + 3, 'c');
      $k->alarm_set(first  => FAR + 1, 'a');
      $k->alarm_add(second => FAR + 2, 'b');
      $k->alarm_set(first_again => FAR + 1, 'a', 'a');
      $k->yield('posted');
      out "[D3] ", list(@$_) for $k->alarm_remove_all;
      $k->delay(by_name => 5000);
      my ($record) = $k->alarm_remove_all;
      out "[D3] a delay: ", list(@$record);
      out "nothing left: ", scalar(my @none = $k->alarm_remove_all);

      out "== fired";
      $heap->{fired} = $k->delay_set(fired => 0.02);
    },
    posted => sub { out "a posted event is no timer: it arrives" },
    fired  => sub {
      my ($k, $heap) = @_[KERNEL, HEAP];
      answer 'alarm_remove of the one that fires', sub { $k->alarm_remove($heap->{fired}) };
      answer 'alarm_adjust of the one that fires', sub { $k->alarm_adjust($heap->{fired}, 1) };
      $k->post(owner => 'let_go');
    },
    _stop => sub { },
  },
);

POE::Kernel->run;
