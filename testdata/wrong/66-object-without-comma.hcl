# An object on one line without its comma.

plan "wrong" {}

locals {
  a = { b = 1 c = 2 }
}
