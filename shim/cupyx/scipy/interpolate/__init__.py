"""`cupyx.scipy.interpolate`: interpolators as classes of the client over arrays on the device; building and evaluating are ops."""

from __future__ import annotations

from typing import Any

from ._bspline import BSpline as BSpline
from ._bspline import make_interp_spline as make_interp_spline
from ._bspline import make_lsq_spline as make_lsq_spline
from ._bspline import splantider as splantider
from ._bspline import splder as splder
from ._cubic import Akima1DInterpolator as Akima1DInterpolator
from ._cubic import CubicHermiteSpline as CubicHermiteSpline
from ._cubic import CubicSpline as CubicSpline
from ._cubic import PchipInterpolator as PchipInterpolator
from ._cubic import pchip_interpolate as pchip_interpolate
from ._interp1d import interp1d as interp1d
from ._interpnd import CloughTocher2DInterpolator as CloughTocher2DInterpolator
from ._interpnd import LinearNDInterpolator as LinearNDInterpolator
from ._interpolate import BPoly as BPoly
from ._interpolate import NdPPoly as NdPPoly
from ._interpolate import PPoly as PPoly
from ._ndbspline import NdBSpline as NdBSpline
from ._ndgriddata import NearestNDInterpolator as NearestNDInterpolator
from ._polyint import BarycentricInterpolator as BarycentricInterpolator
from ._polyint import KroghInterpolator as KroghInterpolator
from ._polyint import barycentric_interpolate as barycentric_interpolate
from ._polyint import krogh_interpolate as krogh_interpolate
from ._rbfinterp import RBFInterpolator as RBFInterpolator
from ._rgi import RegularGridInterpolator as RegularGridInterpolator
from ._rgi import interpn as interpn
from ._univariate import InterpolatedUnivariateSpline as InterpolatedUnivariateSpline
from ._univariate import LSQUnivariateSpline as LSQUnivariateSpline
from ._univariate import UnivariateSpline as UnivariateSpline

pchip = PchipInterpolator


def __getattr__(name: str) -> Any:
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.interpolate", name)
