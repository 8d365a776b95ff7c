"""The words that the template assistant composes answers from: what each attack type lets one see.

For every type and every one of the five attributes (lighting, shape, depth, texture, edges) a few short clauses. A
plain string holds for every image of its type, whatever its variant and strength, and may be said of a picture of
which no more than the type is known. A `Clause` names a trace that only some images have: it is said of those alone
whose facts (the cues that can be seen, parameters that shaped the image, what was measured on the pixels) hold every
pattern that it needs. Each attribute has at least three plain strings, so that something true can always be said, in
several wordings. This module holds words only; `template.py` puts them together.

Example:
    >>> from faceshield_hf.data.instruct.phrases import clauses_of
    >>> from faceshield_hf.tasks_faceshield import AttackType
    >>> words = "a device frame borders the picture"
    >>> words in clauses_of(AttackType.REPLAY, "edges", "moire patterns over the face")
    False
    >>> words in clauses_of(AttackType.REPLAY, "edges", "moire patterns over the face; a screen bezel around the face")
    True
"""

import re
from dataclasses import dataclass

from faceshield_hf.tasks_faceshield import AttackType


ASPECTS = ("lighting", "shape", "depth", "texture", "edges")


@dataclass(frozen=True)
class Clause:
    """A clause that is true of some images of its type only.

    Attributes:
        words (`str`): completes "<attribute>: ..." and stays under a dozen words.
        needs (`tuple[str, ...]`): regular expressions, all of which must be found in the image's facts.
    """

    words: str
    needs: tuple[str, ...]

    def holds(self, facts: str) -> bool:
        """Whether all that it needs is among an image's facts."""
        return all(re.search(pattern, facts) for pattern in self.needs)


def _if(needs: str | tuple[str, ...], *words: str) -> tuple[Clause, ...]:
    """Clauses that need the same."""
    return tuple(Clause(each, (needs,) if isinstance(needs, str) else needs) for each in words)


def clauses_of(kind: AttackType, aspect: str, facts: str) -> list[str]:
    """All clauses about one attribute that are true of an image.

    Args:
        kind (`AttackType`): what the image shows.
        aspect (`str`): one of `ASPECTS`.
        facts (`str`): what is known of the image: its cues, and "name: value" for its parameters and measurements.

    Returns:
        `list[str]`: at least three.
    """
    told = CLAUSES[kind][aspect]
    return [c if isinstance(c, str) else c.words for c in told if isinstance(c, str) or c.holds(facts)]


# Said wherever something is printed.
_PRINTED = (
    *_if("dot pattern|ink dots", "print dots break up the tones", "dots of ink make up the tones"),
    *_if("halftone line pattern", "printed lines break up the tones"),
    *_if("printing bands", "bands of the printer run across"),
    *_if("washed-out", "colours are dull as printed ink"),
    *_if("printed in black and white", "printed tones are only gray"),
)

# type -> attribute -> clauses
CLAUSES: dict[AttackType, dict[str, tuple[str | Clause, ...]]] = {
    AttackType.BONAFIDE: {
        "lighting": (
            "light falls on the skin itself",
            "shading follows the form of the face",
            "highlights are those of skin",
            "skin takes the light as skin does",
            *_if("light: (dark|dim)", "even in little light it is skin that is lit"),
        ),
        "shape": (
            "the features keep natural proportions",
            "the outline is that of a living head",
            "the face bends as a head does",
            "nose, eyes and mouth fit together",
        ),
        "depth": (
            "nose and cheeks have real relief",
            "the face is as deep as a head is",
            "there is real depth around the eyes",
            "cheeks recede naturally",
        ),
        "texture": (
            "skin tone varies as living skin does",
            "skin, lips and eyes keep their own colours",
            "all tones are those of skin",
            *_if(
                "focus: (soft|sharp)", "hair and skin keep their own texture", "the whole face has the texture of skin"
            ),
            *_if(
                ("light: (medium|bright)", "focus: sharp"),
                "fine skin detail is intact",
                "skin shows uneven, fine detail",
            ),
            *_if("focus: blurred", "the blur hides fine detail, but not the tones of skin"),
        ),
        "edges": (
            "no cut edge runs around or across the face",
            "face and head belong together without a seam",
            "no seam surrounds the eyes or the mouth",
            "the face does not end at a rim",
        ),
    },
    AttackType.PRINT: {
        "lighting": (
            "the light falls on paper, not on skin",
            "highlights on the face are only printed",
            "light and shade of the face are printed",
            *_if("washed-out", "the brightest and darkest tones are missing"),
            *_if("glossy sheen", "a sheen of paper lies over the picture"),
            *_if("curl of a bent", "the light changes with the bend of the sheet"),
        ),
        "shape": (
            "the face lies on a sheet",
            "face and background are one picture",
            "a sheet carries the whole head",
            *_if("curl of a bent", "the face bends with the paper"),
        ),
        "depth": (
            "there is no relief between nose and cheeks",
            "face and its background share one surface",
            "depth is only printed",
            "the head has no more depth than its paper",
        ),
        "texture": (
            "ink on paper replaces skin detail",
            "paper takes the place of skin",
            "printed tones stand for skin",
            *_PRINTED,
        ),
        "edges": (
            "the outline of the head is only printed",
            "hair and background are printed side by side",
            "the head ends in ink, not in the room",
            *_if(
                "paper edges",
                "the sheet ends in straight edges",
                "the picture stops at a cut border",
                "a straight border parts it from the scene",
            ),
            *_if("white paper border", "a white border runs along the picture"),
            *_if("fingers holding", "fingers hold the sheet at its edge"),
            *_if("fills_frame: True", "the sheet fills the frame", "hardly anything of the room is in view"),
        ),
    },
    AttackType.REPLAY: {
        "lighting": (
            "the picture gives its own light",
            "the light comes from a display",
            "light and shade of the face are displayed",
            *_if("reflection on the glass|reflected room", "reflections lie over the picture"),
            *_if("glowing blacks", "black stays gray as on a lit panel"),
            *_if("over-bright", "the picture is brighter than a face"),
            *_if("bluish", "the display's light is too blue"),
        ),
        "shape": (
            "the face lies on a flat screen",
            "face and background are one picture",
            "a device carries the whole head",
        ),
        "depth": (
            "there is no relief between nose and cheeks",
            "face and its background share one plane",
            "depth is only displayed",
            "the head is as flat as the panel",
        ),
        "texture": (
            "display colours replace skin tones",
            "a panel takes the place of skin",
            "displayed tones stand for skin",
            *_if("sub-pixel grid", "a display grid lies over the skin", "pixels break up fine detail"),
            *_if("moire", "waves of moire cross the skin"),
            *_if("refresh bands", "dark bands cross the skin"),
        ),
        "edges": (
            "the outline of the head is only displayed",
            "hair and background are displayed side by side",
            "the head ends in pixels, not in the room",
            *_if("screen bezel", "the picture ends at a screen border", "a device frame borders the picture"),
            *_if("fingers holding", "fingers hold the device at its edge"),
            *_if("fills_frame: False", "a straight border parts it from the scene"),
            *_if("fills_frame: True", "the device fills the frame", "hardly anything of the room is in view"),
        ),
    },
    AttackType.PAPER_MASK: {
        "lighting": (
            "the light falls on paper, not on skin",
            "highlights on the face are only printed",
            "light and shade of the mask are printed",
            *_if("cut-out paper edges", "the cut sheet throws a shadow on the skin"),
        ),
        "shape": (
            "a cut-out sheet covers the face",
            "the covered face is too flat",
            "a sheet takes the place of the face's form",
            *_if("cut-out paper edges", "the outline is cut, not grown"),
            *_if("creases in the paper", "the form is folded along creases"),
        ),
        "depth": (
            "nose and cheeks lie on one sheet",
            "relief is printed rather than real",
            "the mask has no depth of its own",
            *_if("holes cut for the eyes", "the eyes lie deeper, in holes"),
            *_if("hole cut for the mouth", "the mouth lies deeper, in a hole"),
        ),
        "texture": (
            "printed skin replaces real skin",
            "ink on paper replaces skin detail",
            "paper takes the place of skin",
            *_if("creases in the paper", "creases run through the printed skin"),
            *_PRINTED,
        ),
        "edges": (
            "the mask ends where the sheet was cut",
            "the sheet has edges that no face has",
            "real skin goes on where the paper ends",
            *_if(
                "cut-out paper edges",
                "a cut edge follows the face outline",
                "the sheet's rim shows against the skin",
            ),
            *_if("holes cut for the eyes", "holes with sharp rims surround the eyes"),
            *_if("elastic bands", "bands run from the mask to the ears"),
        ),
    },
    AttackType.FLEXIBLE_MASK: {
        "lighting": (
            "the light falls on a soft mask, not on skin",
            "highlights are those of a mask, not of skin",
            "light sinks into a soft material",
            *_if("sheen", "the surface shines like rubber", "the sheen is too even for skin"),
        ),
        "shape": (
            "features are soft and rounded off",
            "a soft mask lies over the features",
            "the form is that of a mask",
            *_if("rubber folds", "folds run where skin has none"),
        ),
        "depth": (
            "relief is real but softened",
            "a second skin lies over the real one",
            "the relief belongs to a mask",
            *_if("seams around the eyes", "eyes lie deep behind the openings"),
        ),
        "texture": (
            "a soft material replaces skin",
            "the surface of a mask stands for skin",
            "the skin is not grown but made",
            *_if("waxy", "skin is smooth and waxy", "fine detail is wiped out"),
            *_if("without pores", "pores are missing"),
            *_if("rubber-like skin tone", "tone is too uniform"),
            *_if("rubber folds", "the skin wrinkles as rubber does"),
        ),
        "edges": (
            "the mask has a border that no face has",
            "the mask ends where real skin goes on",
            "real skin begins at the mask's end",
            *_if("seams around the eyes", "seams run around eyes and mouth", "a rim shows at the openings"),
            *_if("edge at the neck", "the material ends at the neck", "a rim crosses the neck"),
        ),
    },
    AttackType.RIGID_MASK: {
        "lighting": (
            "the light falls on a shell first",
            "a hard surface takes the light",
            "a shell lies between the light and the skin",
            *_if(
                "hard plastic highlights",
                "hard highlights sit on the shell",
                "the surface reflects like plastic",
                "gloss is too strong for skin",
            ),
        ),
        "shape": (
            "a stiff shell sits on the face",
            "the shell has its own outline",
            "a stiff form is worn over the face",
            *_if("uniform hard material", "the form is moulded and simple"),
            *_if("transparent shell", "a clear shell repeats the face below"),
        ),
        "depth": (
            "the shell stands off the head",
            "the shell lies before the skin",
            "there is a layer before the face",
            *_if("holes for the eyes", "eyes lie behind the openings of a shell"),
            *_if("uniform hard material", "relief is moulded"),
            *_if("transparent shell", "the face lies behind a clear shell", "the face is seen through the shell"),
        ),
        "texture": (
            "a hard surface lies over the skin",
            "the surface is that of a shell",
            "the shell's material lies over the skin",
            *_if(
                "uniform hard material", "a hard material replaces skin", "pores are missing", "tone is flat and even"
            ),
            *_if(
                "transparent shell",
                "skin shows dimly through the shell",
                "a clear film lies over the skin",
            ),
        ),
        "edges": (
            "the shell has an edge that no face has",
            "the head goes on where the shell ends",
            "the shell's border is not that of a face",
            *_if("hard mask edge", "a hard rim borders the shell", "the shell ends in a sharp edge"),
            *_if("edge with a shadow", "the rim throws a shadow"),
            *_if("holes for the eyes", "openings for the eyes are cut sharply"),
        ),
    },
    AttackType.FAKEHEAD: {
        "lighting": (
            "light falls on a made surface, not on skin",
            "shading is that of a solid body",
            "light and shade are those of a sculpture",
            *_if("plastic highlights", "light shows a lacquered surface", "the head shines like plastic"),
        ),
        "shape": (
            "the head is made, not grown",
            "features are simplified",
            "the form is stiff and regular",
            *_if("painted hair", "hair is modelled with the head"),
        ),
        "depth": (
            "relief is that of a sculpture",
            "the head is solid without living detail",
            "eyes do not lie in moist sockets",
            "depth is real but lifeless",
        ),
        "texture": (
            "a made material replaces skin",
            "there are no pores",
            "the head's material stands for skin",
            *_if("uniform material", "one material takes the place of all skin"),
            *_if("staring eyes", "eyes are painted on the material"),
            *_if("wood grain", "wood grain runs over the face"),
        ),
        "edges": (
            "the outline of the head is made, not grown",
            "skin and hair do not grow into one another",
            "no living hair grows from the head",
            *_if("painted hair", "the hairline is made with the head"),
            *_if("neck of a mannequin", "the neck ends like a doll's"),
        ),
    },
    AttackType.GLASSES: {
        "lighting": (
            "the glasses catch the light before the eyes do",
            "glasses and skin take the light in different ways",
            "the light falls on a front before the eyes",
            *_if(
                "cartoon eyes|printed eyes|pictures of eyes",
                "no real reflection lies on the lenses",
                "no light passes the lenses",
            ),
            *_if("cyan foil", "the light before the eyes is coloured"),
        ),
        "shape": (
            "a false front sits before the eyes",
            "the glasses are not made to see with",
            "a foreign shape lies over the eye region",
            *_if("cartoon eyes|printed eyes|pictures of eyes", "false eyes take the place of the real ones"),
            *_if("opaque lenses", "the lenses are covered"),
            *_if("cartoon eyes|too large", "eyes have the wrong size or direction"),
            *_if("paper frame", "the frame is a cut shape"),
            *_if("eye mask", "a stiff mask surrounds the eyes"),
        ),
        "depth": (
            "the glasses stand before the face",
            "a layer lies before the eye region",
            "the rest of the face has real depth",
            *_if(
                "cartoon eyes|printed eyes|pictures of eyes",
                "eyes lie on the lens instead of behind it",
                "nothing is seen behind the lenses",
            ),
            *_if("paper frame", "the frame is as flat as its paper"),
            *_if("eye openings", "the eyes lie deeper, in openings"),
        ),
        "texture": (
            "the rest of the skin is natural",
            "the glasses' material lies over the skin",
            "only the eye region is foreign",
            *_if("printed eyes|pictures of eyes", "the eye region is printed"),
            *_if("cartoon eyes|printed eyes|pictures of eyes", "the eyes have no living detail"),
            *_if("cyan foil", "foil tints the eyes red and cyan"),
            *_if("paper frame", "paper lies around the eyes"),
            *_if(("paper frame", "foil: False"), "the real eyes show in cut windows"),
            *_if("patterned eye mask", "a pattern covers the skin around the eyes"),
            *_if("does not match the skin", "the tone differs from the skin around"),
        ),
        "edges": (
            "the border around the eyes is artificial",
            "the glasses end in edges that no face has",
            "edges of the glasses cross the face",
            *_if("cartoon eyes|printed eyes|pictures of eyes", "an edge surrounds each lens"),
            *_if("cut paper edges", "rims end in sharp cut lines"),
            *_if("eye openings", "stiff edges surround the eyes"),
        ),
    },
    AttackType.PARTIAL_EYE: {
        "lighting": (
            "light falls on a patch there, not on skin",
            "the eye region takes the light unlike skin",
            "shading stops at the patch",
            *_if("patch edges and a shadow", "the patch throws a shadow"),
        ),
        "shape": (
            "a piece covers the eyes",
            "a foreign part lies over the eyes",
            "a patch changes the form of the face",
            *_if("not line up", "the eye region does not fit the face"),
            *_if("printed: True", "the eyes are a foreign part"),
            *_if(("blank paper", "holes: False"), "the eyes are hidden"),
        ),
        "depth": (
            "the eye region is flat",
            "a flat layer lies over the eyes",
            "the rest of the face has real depth",
            *_if("printed: True", "the eyes have no relief but print"),
            *_if("holes: True", "real eyes lie deeper, in holes"),
        ),
        "texture": (
            "a patch replaces skin at the eyes",
            "detail changes at the patch",
            "the rest of the skin is natural",
            *_if("paper patch", "paper replaces skin at the eyes"),
            *_if("printed: True", "print replaces skin at the eyes"),
            *_if("blank paper", "plain paper lies over the eyes"),
            *_PRINTED,
        ),
        "edges": (
            "the patch ends in an edge that no face has",
            "skin goes on where the patch ends",
            "a border parts patch and skin",
            *_if("patch edges", "an edge surrounds the eyes", "the patch's rim is visible"),
            *_if("kind: (printed strip|held photo|taped paper)", "straight lines cross the face"),
            *_if("torn paper edge", "the patch ends in a torn edge"),
            *_if("pieces of tape", "tape holds the patch"),
            *_if("fingers holding", "fingers hold the patch"),
        ),
    },
    AttackType.PARTIAL_MOUTH: {
        "lighting": (
            "light falls on a patch there, not on skin",
            "the mouth region takes the light unlike skin",
            "shading stops at the patch",
            *_if("patch edges and a shadow", "the patch throws a shadow"),
        ),
        "shape": (
            "a piece covers the mouth",
            "a foreign part lies over the mouth",
            "a patch changes the form of the face",
            *_if("not line up", "the mouth region does not fit the face"),
            *_if("printed: True", "the mouth is a foreign part"),
            *_if(("blank paper", "holes: False"), "the mouth is hidden"),
        ),
        "depth": (
            "the mouth region is flat",
            "a flat layer lies over the mouth",
            "the rest of the face has real depth",
            *_if("printed: True", "the mouth has no relief but print"),
            *_if("holes: True", "real lips lie deeper, in a hole"),
        ),
        "texture": (
            "a patch replaces skin at the mouth",
            "detail changes at the patch",
            "the rest of the skin is natural",
            *_if("paper patch", "paper replaces skin at the mouth"),
            *_if("printed: True", "print replaces skin at the mouth"),
            *_if("blank paper", "plain paper lies over the mouth"),
            *_PRINTED,
        ),
        "edges": (
            "the patch ends in an edge that no face has",
            "skin goes on where the patch ends",
            "a border parts patch and skin",
            *_if("patch edges", "an edge surrounds the mouth", "the patch's rim is visible"),
            *_if("kind: (printed strip|held photo|taped paper)", "straight lines cross the face"),
            *_if("torn paper edge", "the patch ends in a torn edge"),
            *_if("pieces of tape", "tape holds the patch"),
            *_if("fingers holding", "fingers hold the patch"),
        ),
    },
    AttackType.MAKEUP: {
        "lighting": (
            "light falls on paint instead of bare skin",
            "paint changes how the skin takes the light",
            "painted tones mix with the light",
            *_if(
                "painted contours|painted wrinkles", "painted shadows imitate relief", "shading is drawn onto the face"
            ),
            *_if("even layer of foundation", "an even layer hides the skin's own shine"),
            *_if("white painted face", "white paint throws the light back"),
        ),
        "shape": (
            "paint changes how the features look",
            "the features are altered with colour",
            "the head's own form lies under paint",
            *_if("painted contours", "contours are redrawn with colour"),
            *_if("redrawn brows and lips", "lips and brows are reshaped"),
            *_if("drawn liner|painted wrinkles", "drawn lines alter the face"),
            *_if("camouflage stripes", "stripes break up the form"),
            *_if("opaque blocks", "blocks of paint break up the form"),
            *_if("red nose", "a red nose and mouth are painted on"),
        ),
        "depth": (
            "relief is real but repainted",
            "paint has no depth of its own",
            "the head itself has real depth",
            *_if("painted contours", "painted shade deepens the cheeks"),
            *_if("painted wrinkles", "painted lines imitate folds"),
        ),
        "texture": (
            "a layer of colour lies on the skin",
            "pigment covers parts of the skin",
            "paint hides the skin's own tone",
            *_if("lipstick and eye shadow", "strong pigment lies on lids and lips"),
            *_if("lipstick|no skin has|red nose", "colours are stronger than daily make-up"),
            *_if("even layer of foundation", "skin tone is evened by paint"),
            *_if("sallow", "the skin tone is painted sallow"),
            *_if("strong blush", "strong blush colours the cheeks"),
        ),
        "edges": (
            "colour fields end on the skin",
            "paint ends where it was drawn",
            "no cut edge crosses the skin, only paint",
            *_if("drawn liner", "drawn outlines surround the eyes"),
            *_if("opaque blocks|camouflage stripes", "painted borders cross the face"),
        ),
    },
    AttackType.TATTOO: {
        "lighting": (
            "light on the skin is natural",
            "shading is natural around the pattern",
            "the pattern follows the skin's light",
            "ink takes the light with the skin",
        ),
        "shape": (
            "a drawn pattern lies on the face",
            "the features are natural apart from the ink",
            "the pattern follows the form of the face",
            "marks disturb the face pattern",
        ),
        "depth": (
            "the head has real depth",
            "the pattern has no relief of its own",
            "ink lies in the skin",
            "relief is natural under the ink",
        ),
        "texture": (
            "ink covers part of the skin",
            "inked marks lie on the skin",
            "skin is natural beside the marks",
            "pigment breaks the skin tone",
        ),
        "edges": (
            "the ink ends on the skin itself",
            "no cut edge crosses the skin, only ink",
            "the pattern's outline is drawn",
            "the marks have drawn borders",
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
