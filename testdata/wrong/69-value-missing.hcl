# A value that is missing.

plan "wrong" {}

locals {
  a = "x" +
  b =
}
