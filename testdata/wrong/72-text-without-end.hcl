# A text without its closing quotation mark, a reference in it without its brace.

plan "wrong" {}

locals {
  rack = "r7
  row  = "${local.rack"
}
