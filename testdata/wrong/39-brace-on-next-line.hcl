# A brace on the line after the name of its block.

plan "wrong" {}

locals
{
  a = 1
}
