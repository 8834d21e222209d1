{
  "plan": { "wrong": {} },
  "group": { "lab": {} }
}
