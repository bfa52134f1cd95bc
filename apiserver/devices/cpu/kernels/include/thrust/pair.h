// Thrust's is the standard library's here.
#pragma once
#include <utility>

namespace thrust {
using ::std::pair;
using ::std::make_pair;
using ::std::get;
}
