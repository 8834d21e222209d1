# Two equals signs, a colon, a semicolon, a dollar sign.

plan "wrong" {}

locals {
  a == 1
  b := 2
  c : 3
  d = 4;
  e = $local.d
}
