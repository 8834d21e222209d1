# A list without its comma, an object without one, a list without its bracket.

plan "wrong" {}

locals {
  a = ["x" "y"]
}

locals {
  b = { c = 1 d = 2 }
}

locals {
  e = [1, 2
  f = 3
}
