// Thrust's is the standard library's here.
#pragma once
#include <tuple>
#include <thrust/pair.h>

namespace thrust {
using ::std::tuple;
using ::std::make_tuple;
using ::std::get;
using ::std::tie;
using ::std::tuple_size;
using ::std::tuple_element;
}
