use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub {
      my ($kernel, $heap) = @_[KERNEL, HEAP];
      pipe(my $reader, my $writer) or die "no pipe: $!";
      $heap->{writer} = $writer;
      $kernel->select_read($reader, 'readable', 'extra');
      $kernel->select_write($writer, 'writable');
    },
    writable => sub {
      my ($kernel, $heap, $handle) = @_[KERNEL, HEAP, ARG0];
      $kernel->select_write($handle);
      syswrite($handle, "bytes");
      close(delete $heap->{writer});
      close($handle);
    },
    readable => sub {
      my ($kernel, $handle, $extra) = @_[KERNEL, ARG0, ARG2];
      if (sysread($handle, my $bytes, 100)) {
        print "read: $bytes, $extra\n";
        return;
      }
      print "the end\n";
      $kernel->select_read($handle);
    },
  },
);
POE::Kernel->run();
