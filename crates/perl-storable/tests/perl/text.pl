# Scalars, and what Perl prints for them. Argument: a folder; FOLDER/scalars has an array of them in native order, FOLDER/text what
# Perl prints, FOLDER/strings an array of byte and character strings, FOLDER/characters those as UTF-8; NUL stands between.
use strict;
use warnings;
use Storable qw(freeze nfreeze);

my ($folder) = @ARGV;
srand($ENV{SEED} || 1);

sub write_file {
  open my $file, ">:raw", "$folder/$_[0]" or die "$folder/$_[0]: $!";
  print $file $_[1];
  close $file or die $!;
}

sub characters {
  my $string = "$_[0]";
  utf8::upgrade($string);
  utf8::encode($string);
  return $string;
}

my @scalars = (
  0, 42, -7, 2**31, -2**53, 9223372036854775807, 18446744073709551615, 1.5, -0.1, 0.1 + 0.2, 1 / 3, 1e15, 1e16, 123456789012345678,
  1e-4, 1e-5, 1e100, 1.5e300, 5e-324, 9**9**9, -9**9**9, 999999999999999.9, 100.0, "text", "0 but true", "caf\xe9", "\x{263a} \xe9",
  qr/a.b/, qr/x/i, qr/x/msix, qr/\x{263a}/, qr/\xe9/u, v1.22.333, !!1, !!0,
);
push @scalars, map { (rand() - 0.5) * 10**(int(rand 40) - 20) } 1 .. 500;
write_file("scalars", freeze(\@scalars));
write_file("text", join "\0", map { characters($_) } @scalars);

my @strings = map {
  my $limit = (128, 256, 0x3000)[rand 3];
  join "", map { chr 1 + int rand($limit - 1) } 1 .. rand 12
} 1 .. 500;
push @strings, "\xc3\xa9";
write_file("strings", nfreeze(\@strings));
write_file("characters", join "\0", map { characters($_) } @strings);
print "written\n";
