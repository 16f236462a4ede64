#pragma once
// libtorch's ProcessGroupGloo.hpp includes Gloo's headers, which libtorch does not ship, and names a few of its types without looking
// inside them. These five headers declare what it names. They are searched last: real ones go first.
