// The short names of what is built in.
#pragma once
typedef __half half;
typedef __half2 half2;
