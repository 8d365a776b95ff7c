"""The words that the template assistant composes answers from: what each attack type lets one see.

For every type and every one of the five attributes (lighting, shape, depth, texture, edges) a few short clauses that
hold for that type whatever its strength. What was really drawn in one image comes from the image's own cues, not from
here. This module holds words only; `template.py` puts them together.

Example:
    >>> from faceshield_hf.data.instruct.phrases import CLAUSES
    >>> sorted(CLAUSES[next(iter(CLAUSES))])
    ['depth', 'edges', 'lighting', 'shape', 'texture']
"""

from faceshield_hf.tasks_faceshield import AttackType


ASPECTS = ("lighting", "shape", "depth", "texture", "edges")

# type -> attribute -> clauses. Each clause completes "<attribute>: ..." and stays under a dozen words.
CLAUSES: dict[AttackType, dict[str, tuple[str, ...]]] = {
    AttackType.BONAFIDE: {
        "lighting": (
            "light falls off smoothly across the face",
            "shading agrees with the scene",
            "highlights sit where skin is oily",
            "face and background share one light",
        ),
        "shape": (
            "the features keep natural proportions",
            "the outline is that of a living head",
            "the face bends as a head does",
            "nose, eyes and mouth fit together",
        ),
        "depth": (
            "the nose stands clear of the cheeks",
            "shadows under nose and chin show relief",
            "there is real depth around the eyes",
            "cheeks recede naturally",
        ),
        "texture": (
            "skin shows pores and uneven tone",
            "skin tone varies as living skin does",
            "fine skin detail is intact",
            "hair and skin keep their own texture",
        ),
        "edges": (
            "no border runs around or across the face",
            "hair meets skin without a seam",
            "the face passes into the neck without a break",
            "there is no cut or frame",
        ),
    },
    AttackType.PRINT: {
        "lighting": (
            "light lies evenly over the whole sheet",
            "highlights are those of paper, not skin",
            "shading in the picture disagrees with the room",
            "the brightest and darkest tones are missing",
        ),
        "shape": (
            "the face lies on a flat sheet",
            "the face bends with the paper",
            "perspective tilts face and background together",
            "a sheet carries the whole head",
        ),
        "depth": (
            "there is no relief between nose and cheeks",
            "face and its background share one plane",
            "depth is only printed",
            "the head is as flat as its paper",
        ),
        "texture": (
            "ink on paper replaces skin detail",
            "colours are dull as printed ink",
            "paper grain lies over the skin",
            "print dots break up the tones",
        ),
        "edges": (
            "the sheet ends in straight edges",
            "paper edges surround the face",
            "the picture stops at a cut border",
            "a straight border parts it from the scene",
        ),
    },
    AttackType.REPLAY: {
        "lighting": (
            "the face glows by itself",
            "the light comes from a display",
            "reflections lie over the picture",
            "black stays grey as on a lit panel",
        ),
        "shape": (
            "the face sits inside a flat screen",
            "the picture is a plane rectangle",
            "perspective tilts face and background together",
            "a device carries the whole head",
        ),
        "depth": (
            "there is no relief between nose and cheeks",
            "face and its background share one plane",
            "depth is only displayed",
            "the head is as flat as the panel",
        ),
        "texture": (
            "a display grid lies over the skin",
            "display colours replace skin tones",
            "bands and waves cross the skin",
            "pixels break up fine detail",
        ),
        "edges": (
            "the picture ends at a screen border",
            "a device frame surrounds the face",
            "straight screen edges cut the scene",
            "a straight border parts it from the scene",
        ),
    },
    AttackType.PAPER_MASK: {
        "lighting": (
            "paper scatters the light evenly",
            "shading on the mask ignores the room",
            "the cut sheet throws a shadow on the skin",
            "highlights are those of paper, not skin",
        ),
        "shape": (
            "a cut-out sheet covers the face",
            "the mask bends in one direction only",
            "the outline is cut, not grown",
            "the covered face is too flat",
        ),
        "depth": (
            "nose and cheeks lie on one bent sheet",
            "only eyes or mouth lie deeper, in holes",
            "relief is printed rather than real",
            "the mask stands off the head",
        ),
        "texture": (
            "printed skin replaces real skin",
            "paper grain lies over the face",
            "colours are dull as printed ink",
            "mask and neck differ in tone",
        ),
        "edges": (
            "a cut edge follows the face outline",
            "holes with sharp rims surround the eyes",
            "the sheet's rim shows against the skin",
            "a paper rim parts face and neck",
        ),
    },
    AttackType.FLEXIBLE_MASK: {
        "lighting": (
            "the surface shines like rubber",
            "highlights are broad and waxy",
            "the sheen is too even for skin",
            "light sinks into a soft material",
        ),
        "shape": (
            "features are soft and slightly displaced",
            "the face is a little swollen",
            "folds run where skin has none",
            "proportions are rounded off",
        ),
        "depth": (
            "relief is real but softened",
            "eyes lie deep behind the openings",
            "the surface stands off the real face",
            "lips and lids lack fine relief",
        ),
        "texture": (
            "skin is smooth like silicone",
            "pores are missing",
            "tone is too uniform",
            "fine detail is wiped out",
        ),
        "edges": (
            "seams run around eyes and mouth",
            "the material ends above the neck",
            "a rim shows at the openings",
            "the border to real skin is visible",
        ),
    },
    AttackType.RIGID_MASK: {
        "lighting": (
            "hard highlights sit on the shell",
            "the surface reflects like plastic",
            "sharp reflections cross the cheeks",
            "gloss is too strong for skin",
        ),
        "shape": (
            "a stiff shell covers the face",
            "the form is moulded and simple",
            "features do not move with the face",
            "the shell has its own outline",
        ),
        "depth": (
            "eyes lie behind the openings of a shell",
            "the shell stands off the head",
            "relief is moulded",
            "a gap opens between shell and skin",
        ),
        "texture": (
            "hard plastic replaces skin",
            "the surface is smooth and painted",
            "pores are missing",
            "tone is flat and painted",
        ),
        "edges": (
            "a hard rim surrounds the face",
            "the shell ends in a sharp edge",
            "openings are cut sharply",
            "the rim throws a shadow",
        ),
    },
    AttackType.FAKEHEAD: {
        "lighting": (
            "the whole head shines like one material",
            "light shows a lacquered surface",
            "shading is that of a solid body",
            "highlights are even from head to neck",
        ),
        "shape": (
            "the head is moulded in one piece",
            "features are simplified",
            "hair is modelled with the head",
            "the form is stiff and regular",
        ),
        "depth": (
            "relief is that of a sculpture",
            "the head is solid without living detail",
            "eyes do not lie in moist sockets",
            "depth is real but lifeless",
        ),
        "texture": (
            "skin, lips and hair share one material",
            "there are no pores",
            "the colour is uniform",
            "paint replaces skin and hair",
        ),
        "edges": (
            "hairline is painted",
            "the neck ends like a doll's",
            "no loose hair crosses the outline",
            "the outline is smooth as cast",
        ),
    },
    AttackType.GLASSES: {
        "lighting": (
            "the glasses do not reflect the room",
            "light on the lenses disagrees with the face",
            "face and lenses are lit differently",
            "no real reflection lies on the lenses",
        ),
        "shape": (
            "false eyes sit behind the frame",
            "the lenses are covered",
            "eyes have the wrong size or direction",
            "the frame is a cut shape",
        ),
        "depth": (
            "the eye region is a flat layer",
            "nothing lies behind the lenses",
            "eyes lie on the lens instead of behind it",
            "the rest of the face has real depth",
        ),
        "texture": (
            "the eye region is printed or opaque",
            "the lenses show paper or print",
            "the eyes have no living detail",
            "the rest of the skin is natural",
        ),
        "edges": (
            "the frame cuts the eye region off",
            "rims end in sharp cut lines",
            "an edge surrounds each lens",
            "the border around the eyes is artificial",
        ),
    },
    AttackType.PARTIAL_EYE: {
        "lighting": (
            "a strip over the eyes is lit differently",
            "the eye patch throws a shadow",
            "highlights stop at the patch",
            "the eye region disagrees with the cheeks",
        ),
        "shape": (
            "a piece covers the eyes",
            "the eye region does not fit the face",
            "a patch lies from temple to temple",
            "the eyes are a foreign part",
        ),
        "depth": (
            "the eye region is flat",
            "sockets have lost their relief",
            "a flat layer lies over the eyes",
            "the rest of the face has real depth",
        ),
        "texture": (
            "paper or print replaces skin at the eyes",
            "the eye region differs in tone",
            "detail changes at the patch",
            "the rest of the skin is natural",
        ),
        "edges": (
            "a cut edge surrounds the eyes",
            "straight lines cross forehead and cheeks",
            "the patch ends on the nose",
            "the patch's rim is visible",
        ),
    },
    AttackType.PARTIAL_MOUTH: {
        "lighting": (
            "the mouth area is lit differently",
            "the mouth patch throws a shadow",
            "highlights stop at the patch",
            "the chin disagrees with the cheeks",
        ),
        "shape": (
            "a piece covers the mouth",
            "the mouth does not fit the face",
            "a patch lies between nose and chin",
            "the lips are a foreign part",
        ),
        "depth": (
            "the mouth region is flat",
            "lips have lost their relief",
            "a flat layer lies over the mouth",
            "the rest of the face has real depth",
        ),
        "texture": (
            "paper or print replaces skin at the mouth",
            "the mouth region differs in tone",
            "detail changes at the patch",
            "the rest of the skin is natural",
        ),
        "edges": (
            "a cut edge surrounds the mouth",
            "straight lines cross cheeks and chin",
            "the patch ends under the nose",
            "the patch's rim is visible",
        ),
    },
    AttackType.MAKEUP: {
        "lighting": (
            "painted shadows imitate relief",
            "the skin is powdered matte",
            "painted highlights ignore the light",
            "shading is drawn onto the face",
        ),
        "shape": (
            "contours are redrawn with colour",
            "lips and brows are reshaped",
            "paint changes the proportions",
            "drawn lines alter the face",
        ),
        "depth": (
            "relief is real but repainted",
            "painted shade deepens the cheeks",
            "depth and painted shade disagree",
            "the head itself has real depth",
        ),
        "texture": (
            "a layer of colour covers the pores",
            "strong pigment lies on lids, lips or cheeks",
            "skin tone is evened by paint",
            "colours are stronger than daily make-up",
        ),
        "edges": (
            "colour fields end on the skin",
            "drawn outlines surround eyes and lips",
            "no sheet or frame is present",
            "painted borders cross the face",
        ),
    },
    AttackType.TATTOO: {
        "lighting": (
            "light on the skin is natural",
            "ink stays dark under the light",
            "shading is natural around the pattern",
            "the pattern follows the skin's light",
        ),
        "shape": (
            "a drawn pattern lies on the face",
            "the features are natural apart from the ink",
            "lines follow the cheek or the forehead",
            "marks disturb the face pattern",
        ),
        "depth": (
            "the head has real depth",
            "the pattern has no relief of its own",
            "ink lies in the skin",
            "relief is natural under the ink",
        ),
        "texture": (
            "dark ink covers part of the skin",
            "inked lines cross the skin",
            "skin is natural beside the marks",
            "pigment lines break the skin tone",
        ),
        "edges": (
            "ink lines end sharply on the skin",
            "no sheet or frame is present",
            "the pattern's outline is drawn",
            "drawn lines have clear borders",
        ),
    },
}

REGIONS: dict[AttackType, str] = {
    AttackType.PRINT: "a printed photo",
    AttackType.REPLAY: "a screen",
    AttackType.PAPER_MASK: "a paper mask",
    AttackType.FLEXIBLE_MASK: "a flexible mask",
    AttackType.RIGID_MASK: "a rigid mask",
    AttackType.FAKEHEAD: "a fake head",
    AttackType.GLASSES: "attack glasses",
    AttackType.PARTIAL_EYE: "a cover over the eyes",
    AttackType.PARTIAL_MOUTH: "a cover over the mouth",
    AttackType.MAKEUP: "make-up",
    AttackType.TATTOO: "a tattoo",
}
