# Storable against ours, in both directions. Arguments: a mode, and a folder.
#   make FOLDER    freezes 1 000 random values into FOLDER/N, in native order into FOLDER/N.native and FOLDER/N.stored, and the
#                  same, as text, into FOLDER/N.txt
#   parts FOLDER   thaws FOLDER/N.I.part, an image of element I of FOLDER/N, for each element that is a reference, and compares
#   wrapped FOLDER thaws FOLDER/N.wrapped and compares it with a list that has FOLDER/N twice
#   again FOLDER   thaws FOLDER/N.ours and freezes that into FOLDER/N.again
#   check FOLDER   thaws FOLDER/N.back and compares it with FOLDER/N.txt; prints how many are equal
use strict;
use warnings;
use Storable qw(freeze nfreeze store thaw);
use Scalar::Util ();

my ($mode, $folder) = @ARGV;
srand($ENV{SEED} || 1);

# Text that tells apart all that must survive: kinds, classes, sharing, characters.
sub text {
  my ($value, $seen) = @_;
  return "undef" unless defined $value;
  my $type = Scalar::Util::reftype($value);
  unless ($type) {
    my $string = "$value";
    utf8::encode($string) if utf8::is_utf8($string);
    $string =~ s/([^a-zA-Z0-9.+-])/sprintf "%%%02x", ord $1/ge;
    return "'$string'";
  }
  my $address = Scalar::Util::refaddr($value);
  return "=$seen->{$address}" if exists $seen->{$address};
  $seen->{$address} = keys %$seen;
  my $class = Scalar::Util::blessed($value);
  my $text = defined $class ? "<$class>" : "";
  if ($type eq "ARRAY") { return $text . "[" . join(",", map { text($_, $seen) } @$value) . "]" }
  if ($type eq "HASH") {
    return $text . "{" . join(",", map { text("$_") . ":" . text($value->{$_}, $seen) } sort keys %$value) . "}";
  }
  return $text . "\\" . text($$value, $seen);
}

my @shared;

sub scalar_value {
  my $kind = int rand 9;
  return undef if $kind == 0;
  return int(rand(600)) - 300 if $kind == 1;
  return int(rand(2**33)) - 2**32 if $kind == 2;
  return int(rand(2**31)) * 2**20 if $kind == 3;
  return (int(rand(2000)) - 1000) / 8 if $kind == 4;
  return join "", map { chr int rand 256 } 1 .. rand 12 if $kind == 5;
  return join "", map { chr(0x100 + int rand 0x2000) } 1 .. rand 12 if $kind == 6;
  return "x" x rand 400 if $kind == 7;
  return !!int rand 2;
}

sub value {
  my $depth = shift;
  my $kind = int rand($depth > 4 ? 4 : 9);
  return scalar_value() if $kind < 4;
  return $shared[rand @shared] if $kind == 4 && @shared;
  my $made;
  if ($kind < 7) { $made = [ map { value($depth + 1) } 1 .. rand 5 ] }
  elsif ($kind == 7) {
    $made = {};
    for (1 .. rand 5) {
      my $key = rand() < 0.8 ? "k" . int rand 100 : rand() < 0.5 ? chr(0x263a + int rand 9) : "caf\xe9";
      utf8::upgrade($key) if rand() < 0.3;
      $made->{$key} = value($depth + 1);
    }
  }
  else { my $inner = value($depth + 1); $made = \$inner }
  bless $made, ("Foo", "A::B", "Other" . int rand 3)[rand 3] if rand() < 0.2;
  push @shared, $made if rand() < 0.5;
  return $made;
}

sub read_file {
  local $/;
  open my $file, "<:raw", $_[0] or die "$_[0]: $!";
  return scalar <$file>;
}

my $equal = 0;
for my $number (1 .. 1000) {
  if ($mode eq "make") {
    @shared = ();
    my $value = [ map { value(0) } 1 .. 1 + rand 4 ];
    open my $image, ">:raw", "$folder/$number" or die "$folder/$number: $!";
    print $image nfreeze($value);
    close $image or die $!;
    open my $text, ">:raw", "$folder/$number.txt" or die $!;
    print $text text($value, {});
    close $text or die $!;
    open my $native, ">:raw", "$folder/$number.native" or die $!;
    print $native freeze($value);
    close $native or die $!;
    store($value, "$folder/$number.stored");
  }
  elsif ($mode eq "parts") {
    my $value = thaw(read_file("$folder/$number"));
    my $same = 1;
    for my $index (grep { ref $value->[$_] } 0 .. $#$value) {
      my ($got, $expected) = map { text($_, {}) } thaw(read_file("$folder/$number.$index.part")), $value->[$index];
      $got eq $expected or $same = 0, warn "$number, $index:\n  $got\n  $expected\n";
    }
    $equal += $same;
  }
  elsif ($mode eq "wrapped") {
    my $value = thaw(read_file("$folder/$number"));
    my ($got, $expected) = map { text($_, {}) } thaw(read_file("$folder/$number.wrapped")), [1, $value, { x => $value }];
    $got eq $expected ? $equal++ : warn "$number:\n  $got\n  $expected\n";
  }
  elsif ($mode eq "again") {
    local $/;
    open my $image, "<:raw", "$folder/$number.ours" or die "$folder/$number.ours: $!";
    my $value = thaw(scalar <$image>);
    open my $again, ">:raw", "$folder/$number.again" or die $!;
    print $again nfreeze($value);
    close $again or die $!;
    $equal++;
  }
  else {
    local $/;
    open my $image, "<:raw", "$folder/$number.back" or die "$folder/$number.back: $!";
    open my $text, "<:raw", "$folder/$number.txt" or die $!;
    my ($bytes, $expected) = (scalar <$image>, scalar <$text>);
    my $got = text(thaw($bytes), {});
    $got eq $expected ? $equal++ : warn "$number:\n  $got\n  $expected\n";
  }
}
print $mode eq "make" ? "1000 made\n" : "$equal $mode\n";
