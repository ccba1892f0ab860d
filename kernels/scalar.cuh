// The element types of a build. The launcher defines them for the arrays at hand; the defaults let
// every file compile as it stands.
#pragma once

#ifndef SCALAR  // of the arrays
#define SCALAR float
#endif

#ifndef ACCUM  // in which sums of SCALARs are kept: float for 16-bit elements
#define ACCUM float
#endif

#ifndef WIDTH  // elements per access; above 1, arrays of SCALAR are aligned to a whole Pack
#define WIDTH 1
#endif

struct alignas(sizeof(SCALAR) * WIDTH) Pack {
    SCALAR v[WIDTH];
};
