# A list without its comma.

plan "wrong" {}

locals {
  a = ["x" "y"]
}
