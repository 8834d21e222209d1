# A list without its closing bracket.

plan "wrong" {}

locals {
  a = [1, 2
  b = 3
}
